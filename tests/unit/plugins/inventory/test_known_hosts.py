# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory's known_hosts file with a real SSH client and server, reached by Ansible itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "lab"))
from servers import running  # noqa: E402

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
SSHD = os.environ.get("NIXMETAL_SSHD") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(
    not SSHD or not shutil.which("ssh-keygen") or not Path("/run/sshd").is_dir(),
    reason="there is no sshd (NIXMETAL_SSHD names one), or no /run/sshd, which it needs",
)


class Machine:
    """An SSH server on a loopback address, as a builder has it; and the cloud that says so."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        for name in ("user", "host", "other"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(self._sshd(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.http = httpx.Client(base_url=url, headers={"X-Auth-Token": "lab-token"})
        order = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "am"}
        self.id = self.http.post(f"/projects/{PROJECT}/devices", json=order).json()["id"]
        while self.http.get(f"/devices/{self.id}").json()["state"] != "active":
            time.sleep(0.1)

    def _sshd(self) -> list[str]:
        shutil.copy(self.root / "user.pub", self.root / "authorized_keys")
        options = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": self.root / "host",
            "AuthorizedKeysFile": self.root / "authorized_keys",
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [str(SSHD), "-D", "-f", "/dev/null", *words]

    def publish(self, name: str) -> None:
        """Boot anew, and say that this is the machine's key."""
        self.http.post(f"{self.url}/lab/machines/{self.id}/dhcp").raise_for_status()
        key = (self.root / f"{name}.pub").read_text(encoding="utf-8").strip()
        said = {"1001": [{"system": "x86_64-linux", "port": self.port, "key": key}]}
        said["1002"] = {"system_types": ["x86_64-linux"], "max_jobs": 1}  # type: ignore[assignment]
        for code, message in said.items():
            event = {"code": code, "message": json.dumps(message)}
            self.http.post(f"{self.url}/lab/machines/{self.id}/events", json=event).raise_for_status()

    def reach(self, **options: Any) -> str:
        """What Ansible's raw module, over Ansible's own SSH, gives back."""
        source = self.root / "metal_builders.yml"
        connection = {"metal_api_url": f"{self.url}/metal/v1", "metal_auth_token": "lab-token", "project_id": PROJECT}
        table = {"c3.small.x86": {"port": self.port, "admin_user": os.environ.get("USER") or "root"}}
        named = {
            "address_name": "'127.0.0.1'",
            "plans": table,
            "known_hosts_file": str(self.root / "keys" / "known_hosts"),
        }
        source.write_text(
            yaml.safe_dump({"plugin": "nixmetal.builders.metal_builders", **connection, **named, **options}),
            encoding="utf-8",
        )
        program = str(Path(sys.executable).with_name("ansible"))
        words = [program, "builders", "-i", str(source), "-m", "ansible.builtin.raw", "-a", "echo rea''ched"]
        env = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"), "HOME": str(self.root)}
        # No connection outlives its call: each is made anew, with the key of its own time.
        env |= {"ANSIBLE_SSH_ARGS": "-F /dev/null -o ControlMaster=no"}
        done = subprocess.run(
            [*words, "--private-key", str(self.root / "user")], env=env, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    root = tmp_path / "machine"
    root.mkdir()
    with running(tmp_path) as emulator:
        made = Machine(root, emulator.url)
        yield made
        made.process.terminate()
        made.process.wait(timeout=10)


def test_ansible_believes_the_published_key_and_no_other(machine: Machine) -> None:
    machine.publish("host")
    assert "reached" in machine.reach()
    line = (machine.root / "keys" / "known_hosts").read_text(encoding="utf-8")
    assert line.startswith(f"[127.0.0.1]:{machine.port} ssh-ed25519 ")
    # It says that it has another key now; whoever answers with the old one is not it.
    machine.publish("other")
    told = machine.reach()
    assert "reached" not in told
    assert "Host key verification failed" in told
    # Nothing is learnt from whoever answers, here or in the user's own file.
    assert machine.root.joinpath("keys", "known_hosts").read_text(encoding="utf-8").count("\n") == 1
    assert not (machine.root / ".ssh" / "known_hosts").exists()
    machine.publish("host")
    assert "reached" in machine.reach()


def test_a_machine_that_has_published_no_key_is_not_believed(machine: Machine) -> None:
    machine.http.post(f"{machine.url}/lab/machines/{machine.id}/dhcp").raise_for_status()
    told = machine.reach()
    assert "reached" not in told
    assert "Host key verification failed" in told
