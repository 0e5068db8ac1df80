# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks of the documentation that are marked so are run, as they stand, in the order of their page, against an emulated cloud.

`<!-- run: FILE -->` before a YAML block writes it to FILE; `<!-- run -->` before a shell block runs it, `<!-- run: long -->` in
`make check-all` only. The addresses of the endpoint and of Hydra are replaced by those of the emulator and of a small web server.
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
from collections.abc import Iterator
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
        installed = root / "home" / ".ansible" / "collections" / "ansible_collections" / "nixmetal"
        installed.mkdir(parents=True)
        (installed / "builders").symlink_to(CHECKOUT)
        (root / "key").write_text("not a key that opens anything", encoding="utf-8")
        programs = Path(sys.executable).parent
        self.environment = os.environ | {
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


@pytest.mark.parametrize("page", list(runnable()))
def test_marked_blocks_run(page: Path, desk: Desk) -> None:
    blocks = marked(page)
    if not any("inventories/example inventory" in block.text for block in blocks):
        desk.skeleton()
        if page.stem == "faults":
            desk.run("ansible-playbook -i inventory nixmetal.builders.launch_spot -e spot_fleet_wait=true")
    for block in blocks:
        if block.language == "yaml":
            desk.write(block.what, block.text)
        else:
            assert block.language == "sh", f"{page}: a block of {block.language} cannot be run"
            said = desk.run(block.text)
            assert "[ERROR]" not in said


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
