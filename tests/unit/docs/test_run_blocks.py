# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks of the documentation that are marked so are run, as they stand, in the order of their page, against an emulated cloud.

`<!-- run: FILE -->` before a YAML or INI block writes it to FILE; `<!-- run -->` before a shell block runs it, `<!-- run: long -->` in
`make check-all` only. The addresses of the endpoint and of Hydra are replaced by those of the emulator and of a small web server.
After a block that a page makes a claim about, CLAIMS looks at the cloud, the machines file or what was said whether it holds.
What is not marked is held to name playbooks, variables and alerts that exist.
"""

from __future__ import annotations

import getpass
import grp
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "lab"))
from servers import running  # noqa: E402

MARKED = re.compile(
    r"^<!-- run(?:: (?P<what>[^>]+?))? -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
FILES = ("yaml", "ini")
PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
EXAMPLES_PROJECT = "00000000-0000-4000-8000-000000000000"
ENDPOINT, HYDRA = "https://metal.example.org", "https://hydra.example.org"


class Block(NamedTuple):
    what: str
    language: str
    text: str


def pages() -> list[Path]:
    return sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("roles/*/README.md")])


def marked(page: Path) -> list[Block]:
    found = MARKED.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["what"] or "", match["language"], match["text"]) for match in found]


def runnable() -> Iterator[Any]:
    for page in pages():
        blocks = marked(page)
        if blocks:
            slow = any(block.what == "long" for block in blocks)
            yield pytest.param(page, id=page.stem, marks=[pytest.mark.long] if slow else [])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Quiet."""


class Desk:
    """An operator's working directory, with the skeleton as inventory unless the page makes its own."""

    def __init__(self, root: Path, cloud: str, hydra: str) -> None:
        self.root, self.replaced = root, {ENDPOINT: cloud, HYDRA: hydra, EXAMPLES_PROJECT: PROJECT}
        self.cloud = cloud
        installed = root / "home" / ".ansible" / "collections" / "ansible_collections" / "nixmetal"
        installed.mkdir(parents=True)
        (installed / "builders").symlink_to(CHECKOUT)
        (root / "key").write_text("not a key that opens anything", encoding="utf-8")
        programs = Path(sys.executable).parent
        # Users have no other ansible.cfg than the one that the tutorial has them write.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
            "HOME": str(root / "home"),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "METAL_AUTH_TOKEN": "lab-token",
            "ANSIBLE_COLLECTIONS_PATH": str(root / "home" / ".ansible" / "collections"),
        }

    def local(self) -> dict[str, Any]:
        """What makes the skeleton's hosts this machine, and its paths those of a user who owns nothing else."""
        paths = {"file": "machines", "known_hosts_file": "known_hosts", "memory_file": "memory.json", "ssh_key": "key"}
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "fleet_lock_path": str(self.root / "locks"),
            "fleet_autoscale_state_file": str(self.root / "autoscale.json"),
            "spot_fleet_reclaims_file": str(self.root / "reclaims.jsonl"),
            "spot_fleet_check_channels": False,
            "fleet_autoscale_check_channels": False,
            "builder_drain_source": "hydra",
            "builder_drain_url": f"{HYDRA}/queue-runner-status",
            "nix_machines_validate": False,
            "nix_machines_owner": getpass.getuser(),
            "nix_machines_group": grp.getgrgid(os.getgid()).gr_name,
            **{f"nix_machines_{name}": str(self.root / path) for name, path in paths.items()},
        }

    def skeleton(self) -> None:
        self.run("cp -r ~/.ansible/collections/ansible_collections/nixmetal/builders/inventories/example inventory")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")
        self.adapt()

    def run(self, text: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        self.adapt()
        return done.stdout

    def machines(self) -> list[dict[str, Any]]:
        """What the emulated cloud has, whoever made it."""
        request = urllib.request.Request(f"{self.cloud}/metal/v1/projects/{PROJECT}/devices?per_page=100")
        request.add_header("X-Auth-Token", "lab-token")
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)["devices"]
        return sorted(found, key=lambda machine: str(machine["id"]))

    def tagged(self, beginning: str) -> list[str]:
        return [str(tag) for machine in self.machines() for tag in machine["tags"] if str(tag).startswith(beginning)]

    def adapt(self) -> None:
        """Addresses of the documentation become those of the servers here."""
        files = list((self.root / "inventory").rglob("*.yml"))
        if files:
            self.write_quietly("inventory/group_vars/all/zz-test.yml", yaml.safe_dump(self.local()))
            # What the skeleton sets for the coordinators goes before what it sets for all.
            self.write_quietly("inventory/host_vars/hydra.example.org.yml", yaml.safe_dump(self.local()))
        for path in (self.root / "inventory").rglob("*.yml"):
            text = path.read_text(encoding="utf-8")
            for old, new in self.replaced.items():
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")

    def write_quietly(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    status = {
        "status": "up",
        "time": int(time.time()),
        "machines": {},
        "machineTypes": {"x86_64-linux": {"runnable": 0, "running": 0}},
    }
    web = tmp_path / "web"
    web.mkdir()
    (web / "queue-runner-status").write_text(json.dumps(status), encoding="utf-8")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: Quiet(*arguments, directory=str(web))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            (tmp_path / "cloud").mkdir()
            with running(tmp_path / "cloud", backend="simulated", token="lab-token") as emulator:
                yield Desk(tmp_path, emulator.url, f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


def fleet_that_works(desk: Desk) -> None:
    """What the tutorial of production leaves, which other pages begin with."""
    desk.skeleton()
    for block in marked(CHECKOUT / "docs/tutorials/production.md"):
        if block.language in FILES:
            desk.write(block.what, block.text)
    desk.run("ansible-playbook -i inventory nixmetal.builders.launch_spot -e spot_fleet_wait=true")
    assert [machine["state"] for machine in desk.machines()] == ["active"] * 2


def nothing_but(expected: int) -> Callable[[Desk, str], None]:
    def claim(desk: Desk, said: str) -> None:
        assert "2 c3.medium.x86" in " ".join(said.split())
        assert [machine["state"] for machine in desk.machines()] == ["active"] * expected
        assert desk.tagged("hydra") == ["hydra"] * expected

    return claim


def handed_to_nix(desk: Desk, said: str) -> None:
    rows = (desk.root / "machines").read_text(encoding="utf-8").splitlines()
    assert len([row for row in rows if "x86_64-linux" in row]) == 2
    assert "Machines 2 of 2, changed" in " ".join(said.split())
    assert "2 machines of hydra" in said
    assert any(line.strip().startswith("File ") for line in said.splitlines()), "summaries are not shown line by line"


def one_machine_for_the_queue(desk: Desk, said: str) -> None:
    """Below `min`, so it was bought at once: one, whatever the queue says, and beside the two of the bid."""
    assert [tag.split(".")[0] for tag in desk.tagged("nixmetal-autoscale=")] == ["nixmetal-autoscale=small"]
    assert len(desk.tagged("nixmetal-usd-per-hour=")) == 1
    assert len(desk.machines()) == 3


def and_no_second_one(desk: Desk, said: str) -> None:
    one_machine_for_the_queue(desk, said)
    assert "localhost" in said


def both_looks(desk: Desk, said: str) -> None:
    told = " ".join(said.split())
    assert all(str(machine["id"]) in said for machine in desk.machines())
    assert "2 machines of hydra" in told
    assert "Nothing to do." in told


def drained_and_back(desk: Desk, said: str) -> None:
    first = str(desk.machines()[0]["id"])
    told = " ".join(said.split())
    assert f"1 machines are drained {first}" in told
    assert f"1 machines are back in service {first}" in told
    assert desk.tagged("drained-by=") == desk.tagged("skip-hydra") == []


def its_state_and_its_events(desk: Desk, said: str) -> None:
    first = desk.machines()[0]
    assert str(first["hostname"]) in said
    assert str(first["ipxe_script_url"]) in said
    assert said.count("SUCCESS") == 2
    assert "events" in said


def one_is_gone(desk: Desk, said: str) -> None:
    assert "1 machines are terminated" in " ".join(said.split())


def each_machine_or_why_it_is_left_out(_desk: Desk, said: str) -> None:
    """The one that was terminated above may be in the list yet, and the one that its request puts in its place may boot yet."""
    told = " ".join(said.split())
    found = re.search(r"Machines (\d) of ([23]),", told)
    assert found, said
    left_out = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}: ", told)
    assert int(found[1]) + len(left_out) == int(found[2])


def prices(desk: Desk, said: str) -> None:
    assert "c3.medium.x86" in said


# What a page says of a block, by the page and a part of the block's text.
CLAIMS: dict[str, dict[str, Callable[[Desk, str], None]]] = {
    "production": {
        "launch_spot -e spot_fleet_wait=true": nothing_but(2),
        "nixmetal.builders.machines": handed_to_nix,
    },
    "autoscaling": {
        "autoscale --check": one_machine_for_the_queue,
        "grep 'changed=0'": and_no_second_one,
    },
    "faults": {
        "launch_spot --check": both_looks,
        "nixmetal.builders.restore": drained_and_back,
        "metal_device_event_info": its_state_and_its_events,
        "builder_terminate_idle_proved": one_is_gone,
        "machines --check --diff": each_machine_or_why_it_is_left_out,
        "nixmetal.builders.prices": prices,
    },
}


@pytest.mark.parametrize("page", list(runnable()))
def test_marked_blocks_run(page: Path, desk: Desk) -> None:
    blocks = marked(page)
    if not any("inventories/example inventory" in block.text for block in blocks):
        fleet_that_works(desk)
    claims = dict(CLAIMS[page.stem])
    for block in blocks:
        if block.language in FILES:
            desk.write(block.what, block.text)
            continue
        assert block.language == "sh", f"{page}: a block of {block.language} cannot be run"
        text = block.text
        if "ID" in text and "ID=" not in text:
            text = re.sub(r"\bID\b", str(desk.machines()[0]["id"]), text)
        said = desk.run(text)
        assert "[ERROR]" not in said
        for part in [part for part in claims if part in block.text]:
            claims.pop(part)(desk, said)
    assert not claims, f"{page}: no block has {', '.join(claims)}"


def test_pages_with_runs_are_known() -> None:
    """So that no mark is lost by a blank line too many."""
    found = {page.name for page in pages() if marked(page)}
    assert found == {"production.md", "autoscaling.md", "faults.md"}
    for page in pages():
        marks = re.findall(r"^<!-- run", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(marks) == len(marked(page)), page


def test_commands_name_playbooks_that_exist() -> None:
    known = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}
    for page in pages():
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"ansible-playbook [^\n]*?\bnixmetal\.builders\.(\w+)", text))
        named |= set(re.findall(r"\bplaybooks/(\w+)\.yml", text))
        assert named <= known, page


def test_commands_set_variables_that_exist() -> None:
    known = {
        name
        for path in CHECKOUT.glob("roles/*/meta/argument_specs.yml")
        for spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
        for name in spec.get("options") or {}
    }
    for path in (CHECKOUT / "playbooks").glob("*.yml"):
        known |= set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", path.read_text(encoding="utf-8")))
    for page in pages():
        named = set(re.findall(r"-e (\w+)=", page.read_text(encoding="utf-8")))
        assert named <= known, page


def test_alerts_that_are_named_exist() -> None:
    known = {
        name
        for path in CHECKOUT.glob("roles/*/files/alerts.yml")
        for name in re.findall(r"alert: (\w+)", path.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`((?:Fleet|Netboot)[A-Z]\w+)`", (CHECKOUT / "docs" / "faults.md").read_text("utf-8")))
    assert len(named) > 3
    assert named <= known
