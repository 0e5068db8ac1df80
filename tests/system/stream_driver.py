# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams between the hosts of a lab, each a play of its own, and hands that look into the hosts and disturb them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab_driver import CHECKOUT, TOOLS, Lab

NUMBERS = {"build": 10, "web": 11, "coord": 12}
PASSWORD = "of the lab's root"
PLAY_SECONDS = 180.0
Facts = dict[str, Any]


def noise(count: int, seed: int = 4) -> bytes:
    """Bytes that do not compress, the same in every run."""
    return random.Random(seed).randbytes(count)


class Run:
    """One play that streams, under way or ended."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path) -> None:
        self._log = folder / "play.log"
        self._result = folder / "result.json"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def result(self) -> Facts:
        """What the task returned, also when it failed."""
        self.process.wait(PLAY_SECONDS)
        assert self._result.exists(), self.output[-4000:]
        return dict(json.loads(self._result.read_text()))

    def succeeded(self) -> Facts:
        found = self.result()
        assert not found.get("failed"), self.output[-4000:]
        return found

    def refused(self, words: str) -> Facts:
        found = self.result()
        assert found.get("failed"), found
        assert words in found["msg"], found["msg"]
        return found


@dataclasses.dataclass
class Streams:
    """Plays in a lab."""

    lab: Lab
    folder: Path
    count: int = 0

    # -- plays -----------------------------------------------------------------------------------

    def variables(self, name: str) -> Facts:
        """How Ansible reaches a host, as the lab's own inventory says it."""
        keys = self.lab.directory / "ssh"
        address = self.lab.address(NUMBERS[name])
        common = (
            "-F none -o IdentitiesOnly=yes -o ServerAliveInterval=5 -o StrictHostKeyChecking=yes "
            f"-o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile={keys / 'known_hosts'} -o HostKeyAlias={address}"
        )
        return {
            "ansible_host": address, "ansible_user": "root", "ansible_ssh_private_key_file": str(keys / "id_ed25519"),
            "ansible_ssh_common_args": common, "ansible_python_interpreter": "/usr/bin/python3",
        }  # fmt: skip

    def start(self, build: Facts | None = None, web: Facts | None = None, **options: Any) -> Run:
        """A play that streams from build to web; build and web change how these are reached."""
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        hosts = {"build": {**self.variables("build"), **(build or {})}, "web": {**self.variables("web"), **(web or {})}}
        task = {
            "name": "Stream", "register": "streamed", "ignore_errors": True,
            "nixmetal.builders.artifact_stream": {"source": "build", "src": "/srv/image", **options},
        }  # fmt: skip
        keep = {
            "name": "Keep the result", "delegate_to": "localhost",
            "ansible.builtin.copy": {"content": "{{ streamed | to_json }}", "dest": "{{ result }}", "mode": "0600"},
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False},
        }  # fmt: skip
        inventory, book = folder / "hosts.json", folder / "play.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"result": str(folder / "result.json")}}}))
        book.write_text(json.dumps([{"hosts": "web", "gather_facts": False, "tasks": [task, keep]}]))
        env = {
            **os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8",
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "c"),
        }  # fmt: skip
        return Run([str(TOOLS / "ansible-playbook"), "-i", str(inventory), str(book)], env, folder)

    # -- hosts -----------------------------------------------------------------------------------

    def run(self, name: str, command: str, text: str = "", check: bool = True) -> str:
        return self.lab.ssh(NUMBERS[name], command, text, check).stdout

    def root(self, name: str) -> Path:
        """A host's files, as it sees them itself: with what is mounted there."""
        return Path(f"/proc/{self.init(name)}/root")

    def init(self, name: str) -> int:
        """The host's first process, by its number here."""
        record = json.loads((self.lab.directory / "run" / f"host-{name}.json").read_text())
        return int(Path(f"/proc/{record['pid']}/task/{record['pid']}/children").read_text().split()[0])

    def link_bytes(self, name: str) -> int:
        """What a host's network interface has received and sent."""
        fields = next(
            line.split()
            for line in Path(f"/proc/{self.init(name)}/net/dev").read_text().splitlines()
            if line.strip().startswith("eth0:")
        )
        return int(fields[1]) + int(fields[9])

    def image(self, files: dict[str, bytes], name: str = "image") -> dict[str, bytes]:
        """Put an image on the build host; the answer is its contents by digest."""
        folder = self.root("build") / "srv" / name
        folder.mkdir(parents=True, exist_ok=True)
        entries = []
        for file, content in files.items():
            (folder / file).write_bytes(content)
            role = "kernel" if file == "kernel" else "initrd"
            entries.append({"name": file, "role": role, "size": len(content), "sha256": digest(content)})
        document = {
            "schema": 1,
            "image_id": f"0-{name}",
            "system": "x86_64-linux",
            "kernel_params": [],
            "files": entries,
        }
        (folder / "manifest.json").write_text(json.dumps(document))
        return {digest(content): content for content in files.values()}

    def blobs(self, dest: str) -> dict[str, bytes]:
        """What the store on the web host holds."""
        return {path.name: path.read_bytes() for path in (self.root("web") / dest[1:] / "blobs/sha256").iterdir()}

    def arrived(self, dest: str) -> int:
        """Bytes in part files of a store on the web host."""
        parts = self.root("web") / dest[1:] / ".state/parts"
        with contextlib.suppress(FileNotFoundError):
            return sum(path.stat().st_size for path in parts.iterdir() if path.suffix != ".journal")
        return 0

    def wait_until_arrived(self, dest: str, count: int, run: Run) -> None:
        """Until so many bytes are there."""
        until(lambda: self.arrived(dest) >= count or run.process.poll() is not None)
        assert self.arrived(dest) >= count, run.output[-4000:]

    def processes(self, name: str) -> list[int]:
        """The transfer's processes on a host, by the socket that each of them listens on."""
        shown = self.run(name, "ss -xlpH | grep nixmetal-stream || true")
        return [int(part.partition(",")[0]) for part in shown.split("pid=")[1:]]

    def kill(self, name: str) -> None:
        """kill -9 the one process of the transfer on a host, found and ended in one call: it does not wait to be killed."""
        self.run(name, "kill -9 $(ss -xlpH | sed -n '/nixmetal-stream/s/.*pid=\\([0-9]*\\).*/\\1/p')")

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """While this lasts, the one process of the transfer on a host stands still."""
        (process,) = self.processes(name)
        self.run(name, f"kill -STOP {process}")
        try:
            yield
        finally:
            self.run(name, f"kill -CONT {process}")

    @contextlib.contextmanager
    def link_cut(self, name: str) -> Iterator[None]:
        """While this lasts, the host's cable is pulled."""
        command = ["nsenter", "-t", str(self.init(name)), "-n", "ip", "link", "set", "eth0"]
        subprocess.run([*command, "down"], check=True)
        try:
            yield
        finally:
            subprocess.run([*command, "up"], check=True)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
