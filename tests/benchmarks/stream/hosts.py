# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three hosts of a lab, each in namespaces and with a root of its own: build host, web host, and an operator between them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "system"))

from account import Account
from lab_driver import CHECKOUT, Lab

BENCHMARKS = Path(__file__).resolve().parent
PACKAGES = ["rsync", "netcat-openbsd", "openssl"]
NUMBERS = {"build": 10, "web": 11, "coord": 12}
SLOW = {"build": "198.18.77.1", "web": "198.18.77.2"}  # of the delayed line; a block set aside for benchmarks
MEDIA = {"tmpfs": "/bench/tmpfs", "disk": "/bench/disk"}


class Hosts:
    """The lab's hosts, made ready for measuring."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.address = {name: lab.address(number) for name, number in NUMBERS.items()}
        self.pid = {name: self._init(name) for name in NUMBERS}
        self.account = Account()
        self.account.add(pid for name in NUMBERS for pid in self._processes(name))

    def _processes(self, name: str) -> list[int]:
        """Whatever runs in a host, by its process namespace."""
        own = os.stat(f"/proc/{self.pid[name]}/ns/pid").st_ino
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if (path / "ns/pid").stat().st_ino == own:
                    found.append(int(path.name))
        return found

    def _init(self, name: str) -> int:
        record = json.loads((self._lab.directory / "run" / f"host-{name}.json").read_text())
        return int(Path(f"/proc/{record['pid']}/task/{record['pid']}/children").read_text().split()[0])

    def root(self, name: str) -> Path:
        """A host's root directory, seen from here."""
        return self._lab.directory / "roots" / name

    def inside(self, name: str, *command: str) -> list[str]:
        """The command that runs a command in a host."""
        where = ["nsenter", "-t", str(self.pid[name]), "-m", "-n", "-p", "-u", "-i", "-r", "-w"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", *command]
        return self.account.joined([*where, *clean])

    def run(self, name: str, script: str) -> str:
        """Run a shell script in a host."""
        done = subprocess.run(self.inside(name, "sh", "-euc", script), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: {script}\n{done.stderr}")
        return done.stdout

    def start(self, name: str, *command: str, **more: Any) -> subprocess.Popen[str]:
        """Start a command in a host."""
        return subprocess.Popen(self.inside(name, *command), text=True, **more)

    def prepare(self) -> None:
        """Places on memory and on the disk, keys from host to host, and the collection's code."""
        for name in NUMBERS:
            self.run(
                name,
                "mkdir -p /bench/disk /bench/tmpfs; mountpoint -q /bench/tmpfs || mount -t tmpfs -o size=6g bench /bench/tmpfs",
            )
            self._copy_code(name)
        for name in ("build", "coord"):
            self.run(name, "test -f /root/.ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
            self.run(name, "printf 'StrictHostKeyChecking accept-new\nLogLevel ERROR\n' > /root/.ssh/config")
        keys = [self.run(name, "cat /root/.ssh/id_ed25519.pub") for name in ("build", "coord")]
        for name in ("build", "web"):
            for key in keys:
                self.run(
                    name,
                    f"grep -qF '{key.strip()}' /root/.ssh/authorized_keys || echo '{key.strip()}' >> /root/.ssh/authorized_keys",
                )
        for source, target in (("build", "web"), ("coord", "web"), ("coord", "build")):
            self.run(source, f"ssh root@{self.address[target]} true")

    def _copy_code(self, name: str) -> None:
        below = Path("ansible_collections/nixmetal/builders/plugins/module_utils")
        there = self.root(name) / "bench/code"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(CHECKOUT / "plugins/module_utils", there / below, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(BENCHMARKS / "side.py", there)
        self.run(name, "python3 -m compileall -q /bench/code")

    def versions(self) -> dict[str, str]:
        """The programs that take part, as the hosts have them."""
        asked = {
            "python": "python3 -c 'import platform, ssl; print(platform.python_version(), ssl.OPENSSL_VERSION)'",
            "ssh": "ssh -V 2>&1",
            "rsync": "rsync --version | head -n 1",
            "tar": "tar --version | head -n 1",
            "nix": "nix --version",
        }
        return {name: self.run("build", script).strip() for name, script in asked.items()}

    def link_bytes(self, name: str) -> int:
        """Bytes that a host's network interfaces have carried in both directions."""
        lines = Path(f"/proc/{self.pid[name]}/net/dev").read_text().splitlines()[2:]
        fields = [line.split() for line in lines if not line.strip().startswith("lo:")]
        return sum(int(field[1]) + int(field[9]) for field in fields)

    @contextlib.contextmanager
    def shaped(self, rate: str) -> Iterator[None]:
        """A line of this rate in both directions, or without a limit."""
        self._unshape()  # a run that was killed has left its own
        try:
            if rate != "unlimited":
                for name in NUMBERS:
                    self._tc(name, "add", "tbf", "rate", rate, "burst", "128kb", "latency", "50ms")
            yield
        finally:
            self._unshape()

    def _unshape(self) -> None:
        for name in NUMBERS:
            if " tbf " in self._tc(name, "show"):
                self._tc(name, "del")

    def _tc(self, name: str, verb: str, *more: str) -> str:
        command = ["nsenter", "-t", str(self.pid[name]), "-n", "tc", "qdisc", verb, "dev", "eth0", "root", *more]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    @contextlib.contextmanager
    def delayed(self, milliseconds: float) -> Iterator[dict[str, str]]:
        """Addresses that are so far away from each other."""
        if not milliseconds:
            yield self.address
            return
        ends = [part for name in ("build", "web") for part in (str(self.pid[name]), f"{SLOW[name]}/30")]
        command = [sys.executable, str(BENCHMARKS / "relay.py"), *ends, str(milliseconds)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
            assert relay.stdout
            if relay.stdout.readline() != "ready\n":
                sys.exit("the relay did not start")
            yield {**self.address, **SLOW}
            assert relay.stdin
            relay.stdin.close()


@contextlib.contextmanager
def measured_lab(name: str = "") -> Iterator[Hosts]:
    """A lab for the benchmark alone, or one by that name which stays."""
    lab = Lab({"lab_backend": "simulated", "lab_root_packages": PACKAGES})
    if name:
        lab.name, lab.subnet = name, "10.213.201.0/24"
    try:
        lab.up().succeeded()
        hosts = Hosts(lab)
        try:
            hosts.prepare()
            yield hosts
        finally:
            hosts.account.close()
    finally:
        if not name:
            lab.down().succeeded()
