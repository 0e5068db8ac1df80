# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of the tests' own: its playbooks, its hosts, its cloud, and what it leaves behind."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
LABS = Path("/var/lib/nixmetal-lab")
CONTROL_TOKEN = "lab-control"
_RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=\d+\s+changed=(?P<changed>\d+)\s", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """What a playbook's run came to."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        return {recap["host"]: int(recap["changed"]) for recap in _RECAP.finditer(self.output)}

    @property
    def text(self) -> str:
        """Without the line breaks that Ansible puts into long messages."""
        return " ".join(self.output.split())

    def succeeded(self) -> Played:
        assert self.status == 0, self.output[-6000:]
        return self

    def changed_nothing(self) -> Played:
        self.succeeded()
        assert sum(self.changed.values()) == 0, f"{self.changed}\n{self.output[-6000:]}"
        return self

    def refused(self, *words: str) -> Played:
        assert self.status != 0, self.output[-3000:]
        for word in words:
            assert word in self.text, f"{word!r} is not in:\n{self.output[-6000:]}"
        return self


@dataclass(frozen=True)
class Built:
    """The first run of build.yml, and what this machine exchanged with the lab meanwhile."""

    run: Played
    carried_bytes: int


def free_subnet() -> str:
    """A /24 below 10.213.0.0/16 that this machine routes nowhere."""
    routes = json.loads(subprocess.run(["ip", "-j", "-4", "route"], check=True, capture_output=True, text=True).stdout)
    taken = [ipaddress.ip_network(route["dst"]) for route in routes if route["dst"] != "default"]
    candidates = [ipaddress.IPv4Network(f"10.213.{number}.0/24") for number in range(100, 250)]
    free = [network for network in candidates if not any(network.overlaps(other) for other in taken)]
    return str(secrets.choice(free))


@dataclass
class Lab:
    """One lab, named so that no other has its name."""

    settings: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    subnet: str = field(default_factory=free_subnet)

    @property
    def directory(self) -> Path:
        return LABS / self.name

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory"

    @property
    def interface(self) -> Path:
        return Path("/sys/class/net") / f"nm-{self.name}"

    def address(self, number: int) -> str:
        return str(ipaddress.IPv4Network(self.subnet)[number])

    @property
    def web(self) -> str:
        return f"http://{self.address(11)}"

    # -- playbooks -------------------------------------------------------------------------------

    def up(self, **more: Any) -> Played:
        return self._lab("lab_up", more)

    def down(self, **more: Any) -> Played:
        return self._lab("lab_down", more)

    def _lab(self, playbook: str, more: dict[str, Any]) -> Played:
        settings = {"lab_name": self.name, "lab_subnet": self.subnet, "lab_cache_keep": True, **self.settings, **more}
        return self._ansible("ansible-playbook", f"playbooks/{playbook}.yml", "-e", json.dumps(settings))

    def play(self, playbook: str, *arguments: str, **settings: Any) -> Played:
        """A playbook of the collection with this lab's inventory."""
        more = ["-e", json.dumps(settings)] if settings else []
        return self._ansible(
            "ansible-playbook", "-i", str(self.inventory), f"playbooks/{playbook}.yml", *arguments, *more
        )

    def module(self, host: str, module: str, **arguments: Any) -> Played:
        """One module of the collection on one host."""
        return self.adhoc(host, f"nixmetal.builders.{module}", json.dumps(arguments))

    def adhoc(self, host: str, module: str, arguments: str, **settings: Any) -> Played:
        more = ["-e", json.dumps(settings)] if settings else []
        return self._ansible("ansible", "-i", str(self.inventory), host, "-m", module, "-a", arguments, *more)

    def listing(self) -> dict[str, Any]:
        shown = self._ansible("ansible-inventory", "-i", str(self.inventory), "--list", separate=True).succeeded()
        return dict(json.loads(shown.output))

    def _ansible(self, tool: str, *arguments: str, separate: bool = False) -> Played:
        env = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        env["NO_PROXY"] = env["no_proxy"] = f"{self.address(2)},{self.address(11)}"
        begin = time.monotonic()
        done = subprocess.run(
            [str(TOOLS / tool), *arguments], check=False, text=True, env=env, cwd=CHECKOUT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=None if separate else subprocess.STDOUT,
        )  # fmt: skip
        print(f"{time.monotonic() - begin:6.1f} s  {tool} {' '.join(arguments)}", file=sys.stderr)
        return Played(done.returncode, done.stdout)

    # -- hosts -----------------------------------------------------------------------------------

    def ssh(self, number: int, command: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        known = self.directory / "ssh/known_hosts"
        return self._ssh("id_ed25519", f"root@{self.address(number)}", known, command, text, check)

    def login(self, key: str, user: str, host_key: str, command: str) -> subprocess.CompletedProcess[str]:
        """To a builder, with one of the lab's keys."""
        known = self.directory / f"ssh/known_{key}"
        known.write_text(f"{user.partition('@')[2]} {host_key}\n", encoding="utf-8")
        return self._ssh(key, user, known, command, "", check=False)

    def certified(self, authority: str, principal: str) -> str:
        """A new key with a certificate for one minute, by its name; an authority that is not there is made."""
        keys = self.directory / "ssh"
        name = f"visitor-{secrets.token_hex(3)}"
        for key in (name, authority):
            if not (keys / key).exists():
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)], check=True)
        sign = ["ssh-keygen", "-q", "-s", str(keys / authority), "-I", name, "-n", principal, "-V", "-1m:+1m"]
        subprocess.run([*sign, str(keys / f"{name}.pub")], check=True)
        return name

    def _ssh(
        self, key: str, user: str, known: Path, command: str, text: str, check: bool
    ) -> subprocess.CompletedProcess[str]:
        options = ["-F", "none", "-i", str(self.directory / "ssh" / key), "-o", "IdentitiesOnly=yes"]
        options += ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}"]
        whole = ["ssh", *options, "-o", "GlobalKnownHostsFile=/dev/null", user, command]
        return subprocess.run(whole, check=check, input=text, capture_output=True, text=True)

    def build_host(self, command: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.ssh(10, command, text, check)

    def web_host(self, command: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.ssh(11, command, text, check)

    def coordinator(self, command: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.ssh(12, command, text, check)

    def carried_bytes(self) -> int:
        """All that this machine's side has ever exchanged with the lab: its SSH connections and its API calls."""
        counters = self.interface / "statistics"
        return sum(int((counters / name).read_text()) for name in ("rx_bytes", "tx_bytes"))

    # -- the cloud -------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"X-Lab-Token": CONTROL_TOKEN, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self._ask(f"http://{self.address(2)}:8080/lab{path}", method, headers, data)

    def api(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Of the project: a GET, or a POST of a body."""
        project = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
        url = f"http://{self.address(2)}:8080/metal/v1/projects/{project}{path}"
        headers = {"X-Auth-Token": "lab-token", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self._ask(url, "GET" if body is None else "POST", headers, data)

    def change(self, device: str, body: dict[str, Any]) -> Any:
        """Of one machine: a PUT."""
        headers = {"X-Auth-Token": "lab-token", "Content-Type": "application/json"}
        url = f"http://{self.address(2)}:8080/metal/v1/devices/{device}"
        return self._ask(url, "PUT", headers, json.dumps(body).encode())

    def _ask(self, url: str, method: str, headers: dict[str, str], data: bytes | None) -> Any:
        request = urllib.request.Request(url, method=method, headers=headers, data=data)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def console(self, device: str) -> str:
        path = self.directory / "cloud/machines" / device / "console.log"
        return path.read_text(encoding="utf-8", errors="replace").replace("\r", "")
