# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The token is in no output, log, diff, file or process list, whatever the Metal modules and the inventory do, and however they fail.

The API repeats the token in what it answers, as a careless proxy would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "lab"))
from servers import Emulator, running  # noqa: E402

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "tok-5ecret-of-the-whole-project"
NOBODY = "00000000-0000-4000-8000-000000000000"
MACHINE = {"fleet": "lab", "device_id": "{{ machine }}"}
BOUGHT = {"fleet": "lab", "name": "one", "plan": "c3.small.x86", "ipxe_script_url": "http://web.test/netboot.ipxe"}
SPOT = {"metro": "am", "max_bid_price": 0.5, "devices_max": 1}
# Every module of the collection for this API, with options that make it ask the API.
MODULES: dict[str, dict[str, Any]] = {
    "metal_device": {**BOUGHT, "metros": ["am"], "userdata": "hush-userdata"},
    "metal_device_info": {},
    "metal_device_power": {**MACHINE, "state": "rebooted", "wait": False},
    "metal_device_tags": {"fleet": "lab", "machines": "{{ {machine: ['more']} }}"},
    "metal_device_event_info": {"device_id": "{{ machine }}"},
    "metal_plan_info": {},
    "metal_metro_info": {},
    "metal_capacity_info": {},
    "metal_spot_price_info": {},
    "metal_spot_market_request": {**BOUGHT, **SPOT, "name": "two"},
    "metal_spot_market_request_info": {"fleet": "lab"},
}
ECHO = f'{{"errors": ["the token {TOKEN} is not welcome"], "X-Auth-Token": "{TOKEN}"}}'
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 401, "body": ECHO},
    {"kind": "status", "status": 500, "body": ECHO},
    {"kind": "status", "status": 200, "body": ECHO[:-1]},
    {"kind": "reset"},
    {"kind": "html", "status": 502, "body": f"<html>X-Auth-Token: {TOKEN}</html>"},
    {"kind": "status", "status": 200, "body": f'["{TOKEN}"]'},
    {"kind": "status", "status": 429, "body": ECHO},
)


class Watch(threading.Thread):
    """Looks through the command lines of all processes, over and over, for a word; the environment is not looked at."""

    def __init__(self, word: str) -> None:
        super().__init__(daemon=True)
        self.word, self.seen, self.rounds = word.encode(), set[str](), 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.rounds += 1
            # Not by a pattern: to look for a file of a process that ends meanwhile would end the watch.
            for process in filter(str.isdecimal, os.listdir("/proc")):
                try:
                    words = Path("/proc", process, "cmdline").read_bytes()
                except OSError:
                    continue
                if self.word in words:
                    self.seen.add(words.replace(b"\0", b" ").decode("utf-8", "replace"))


class Bench:
    def __init__(self, emulator: Emulator, root: Path) -> None:
        self.url, self.root = emulator.url, root
        self.lab = httpx.Client(base_url=f"{emulator.url}/lab")
        order = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "am", "tags": ["nixmetal-fleet=lab"]}
        made = httpx.post(
            f"{emulator.url}/projects/{PROJECT}/devices", json=order, headers={"X-Auth-Token": TOKEN}
        ).json()
        self.machine = made["id"]
        (root / "settings.yml").write_text(yaml.safe_dump({"secret": TOKEN, "machine": self.machine}), encoding="utf-8")

    def playbook(self, faulty: bool, given: bool = True) -> Path:
        """Whether the token is given as an option, or has to be found elsewhere."""
        tasks = []
        for name, options in MODULES.items():
            task = {f"nixmetal.builders.{name}": options, "register": "told", "ignore_errors": True}
            tasks += [task, {"ansible.builtin.debug": {"var": "told"}}]
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {
                "group/nixmetal.builders.metal": self.connection("{{ secret }}" if given else None, faulty)
            },
            "tasks": tasks,
        }
        path = self.root / "play.yml"
        path.write_text(yaml.safe_dump([play]), encoding="utf-8")
        return path

    def connection(self, token: str | None, faulty: bool) -> dict[str, Any]:
        options = {"metal_api_url": f"{self.url}/metal/v1", "project_id": PROJECT}
        return {**options, "metal_api_tries": 1 if faulty else 5, **({"metal_auth_token": token} if token else {})}

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run something as loudly as it can, and search all that it says, writes and starts."""
        env = (
            os.environ
            | variables
            | {
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
                "ANSIBLE_LOG_PATH": str(self.root / "log" / "ansible.log"),
                "ANSIBLE_LOCAL_TEMP": str(self.root / "local"),
                "ANSIBLE_REMOTE_TEMP": str(self.root / "remote"),
            }
        )
        (self.root / "log").mkdir(exist_ok=True)
        watch = Watch(TOKEN)
        watch.start()
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run([program, *command[1:], "-vvvv"], env=env, capture_output=True, text=True, check=False)
        watch.over.set()
        watch.join()
        assert watch.rounds > 10
        assert watch.seen == set()
        told = [line for line in (done.stdout + done.stderr).splitlines() if TOKEN in line]
        assert told == []
        if "ANSIBLE_DEBUG" not in variables:
            assert "hush-userdata" not in done.stdout + done.stderr
        self.search_files()
        return done

    def search_files(self) -> None:
        """The log, the cache, and what temporary files were left; the operator's own files hold it."""
        own = {"settings.yml", "metal_builders.yml", "config.json", "token"}
        for path in self.root.rglob("*"):
            if path.is_file() and path.name not in own:
                assert TOKEN.encode() not in path.read_bytes(), path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "work"
    root.mkdir()
    with running(tmp_path, token=TOKEN) as emulator:
        yield Bench(emulator, root)


def play(bench: Bench, faulty: bool) -> str:
    words = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "--diff")
    path = bench.playbook(faulty)
    done = bench.run("ansible-playbook", *words, "-e", f"@{bench.root}/settings.yml", str(path))
    return " ".join((done.stdout + done.stderr).split())


def test_every_module_is_here() -> None:
    assert set(MODULES) == {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("metal_*.py")}


def test_the_watch_sees_command_lines() -> None:
    watch = Watch("a-word-of-mine-on-a-command-line")
    watch.start()
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", watch.word], check=True)
    watch.over.set()
    watch.join()
    assert len(watch.seen) == 1


def test_modules_that_work_tell_no_token(bench: Bench) -> None:
    told = play(bench, faulty=False)
    assert "failed=0" in told
    assert "ignored=0" in told, told[-3000:]
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in told


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, len(FAULTS)))]
)
def test_modules_that_fail_tell_no_token(bench: Bench, first: int) -> None:
    """Each module meets the next failure; over all the runs, each meets every one."""
    for number in range(len(MODULES)):
        fault = {**FAULTS[(first + number) % len(FAULTS)], "path": "*", "count": 1}
        bench.lab.post("/faults", json=fault).raise_for_status()
    told = play(bench, faulty=True)
    assert f"ignored={len(MODULES)}" in told, told[-3000:]
    assert "the token ******** is not welcome" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("fault", [None, *(pytest.param(fault, marks=pytest.mark.long) for fault in FAULTS)])
def test_the_inventory_tells_no_token(bench: Bench, fault: dict[str, Any] | None) -> None:
    kept = {"stale_cache_file": str(bench.root / "stale.json"), "known_hosts_file": str(bench.root / "known_hosts")}
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(bench.root / "cache")}
    source = {"plugin": "nixmetal.builders.metal_builders", **bench.connection(TOKEN, faulty=True), **kept, **cache}
    path = bench.root / "metal_builders.yml"
    path.write_text(yaml.safe_dump(source), encoding="utf-8")
    if fault is not None:
        bench.lab.post("/faults", json={**fault, "path": "*", "count": None}).raise_for_status()
    listing = bench.run("ansible-inventory", "-i", str(path), "--list")
    if fault is None:
        assert bench.machine in json.loads(listing.stdout[listing.stdout.index("{\n") :])["_meta"]["hostvars"]
        assert (bench.root / "stale.json").exists()
    else:
        assert "builders_reading is not set" in listing.stderr or "metal_builders" in listing.stderr


@pytest.mark.parametrize(
    "variable", ["METAL_AUTH_TOKEN_FILE", pytest.param("METAL_AUTH_TOKEN", marks=pytest.mark.long)]
)
def test_debugging_tells_no_token_that_is_no_option(bench: Bench, variable: str) -> None:
    """ANSIBLE_DEBUG prints the options of each task; so the token comes to the modules and the inventory another way."""
    file, source = bench.root / "token", bench.root / "metal_builders.yml"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    options = {"plugin": "nixmetal.builders.metal_builders", **bench.connection(None, faulty=False)}
    source.write_text(yaml.safe_dump(options), encoding="utf-8")
    words = ("-i", str(source), "-e", f"ansible_python_interpreter={sys.executable}", "-e", f"machine={bench.machine}")
    variables = {"ANSIBLE_DEBUG": "1", variable: str(file) if variable.endswith("FILE") else TOKEN}
    done = bench.run("ansible-playbook", *words, str(bench.playbook(faulty=False, given=False)), **variables)
    told = " ".join((done.stdout + done.stderr).split())
    assert "failed=0" in told, told[-3000:]
    assert "ignored=0" in told, told[-3000:]
    assert f"set builder_tags for {bench.machine}" in told
