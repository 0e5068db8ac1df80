# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ways to bring a directory from the build host to the web host, each as one measured run."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hosts import CHECKOUT, Hosts

sys.path.insert(0, str(CHECKOUT / ".collections"))

from ansible_collections.nixmetal.builders.plugins.plugin_utils.certificates import make_key_pair

PORT = 41999
LIMIT_SECONDS = 400
FAST = "-c aes128-gcm@openssh.com"


@dataclasses.dataclass
class Course:
    """What one run has to bring where."""

    hosts: Hosts
    address: dict[str, str]
    src: str  # on the build host: an image directory
    dest: str  # on the web host
    paths: str = ""  # for Nix: names of the store paths, one a line, in a file on the build host
    durable: bool = False

    @property
    def flush(self) -> str:
        """What makes a copy durable that is not so by itself."""
        return f" && sync -f {self.dest}" if self.durable else ""

    @property
    def web(self) -> str:
        return f"root@{self.address['web']}"


Contender = Callable[[Course], dict[str, Any]]


def stream(course: Course, connections: int = 0) -> dict[str, Any]:
    """The collection's own: encrypted, verified, durable."""
    keys = {role: make_key_pair(role, 1) for role in ("sender", "receiver")}
    manifest = (course.hosts.root("build") / "bench/manifest.json").read_text()
    sides = {}
    for role, host, other in (("receiver", "web", "sender"), ("sender", "build", "receiver")):
        order = {
            "layout": "image", "src": course.src, "dest": course.dest, "manifest": manifest,
            "identity": [*keys[role], keys[other].certificate], "connections": connections,
        }  # fmt: skip
        side = course.hosts.start(
            host, "python3", "/bench/code/side.py", role, "/bench/code", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert side.stdin
        assert side.stdout
        print(json.dumps(order), file=side.stdin, flush=True)
        sides[role] = side
    port = json.loads(sides["receiver"].stdout.readline())["port"]  # type: ignore[union-attr]
    print(json.dumps({"address": course.address["web"], "port": port}), file=sides["sender"].stdin, flush=True)
    found: dict[str, Any] = {}
    for role, side in sides.items():
        said, _errors = side.communicate(timeout=LIMIT_SECONDS)
        if side.returncode:
            sys.exit(f"the {role} failed")
        for key, value in (json.loads(said) if said else {}).items():
            found[f"{role}_{key}"] = value
    return found


def _script(text: str, host: str = "build") -> Contender:
    """One shell script, with the course's values in it."""

    def run(course: Course) -> dict[str, Any]:
        script = text.format(c=course, dest=course.dest, src=course.src, web=course.web, address=course.address["web"])
        _end(course.hosts.start(host, "sh", "-euc", script), script)
        if course.durable and "sync" not in script:
            course.hosts.run("web", f"sync -f {course.dest}")
        return {}

    return run


def _pair(receiving: str, sending: str) -> Contender:
    """A script that listens on the web host, and one on the build host that begins when it does."""

    def run(course: Course) -> dict[str, Any]:
        values = {"dest": course.dest, "src": course.src, "address": course.address["web"], "port": PORT}
        receiver = course.hosts.start("web", "sh", "-euc", (receiving + course.flush).format(**values))
        _await_port(course.hosts.pid["web"])
        sender = course.hosts.start("build", "sh", "-euc", sending.format(**values))
        _end(sender, sending)
        _end(receiver, receiving)
        return {}

    return run


def _end(process: subprocess.Popen[str], what: str) -> None:
    if process.wait(timeout=LIMIT_SECONDS):
        sys.exit(f"failed: {what}")


def _await_port(pid: int) -> None:
    wanted = f":{PORT:04X}"
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == "0A":
                    return
        time.sleep(0.002)
    sys.exit("nothing listens")


PLAIN_SEND = """
import socket, sys
view = memoryview(bytearray(1 << 20))
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as there:
    for path in sys.argv[3:]:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(view):
                there.sendall(view[:count])
"""
PLAIN_RECEIVE = """
import socket, sys
view = memoryview(bytearray(1 << 20))
server = socket.create_server(("", int(sys.argv[1])))
here = server.accept()[0]
while here.recv_into(view):
    pass
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''").replace("{", "{{").replace("}", "}}") + "'"


IGNORED = "2>/dev/null"
CONTENDERS: dict[str, Contender] = {
    "stream": stream,
    "stream, 1 connection": functools.partial(stream, connections=1),
    "stream, 2 connections": functools.partial(stream, connections=2),
    "stream, 8 connections": functools.partial(stream, connections=8),
    "tar | nc": _pair("nc -l {port} | tar -x -C {dest}", "tar -c -C {src} . | nc -N {address} {port}"),
    "tar | openssl": _pair(
        # Its input must stay open for as long as it serves.
        "rm -f /bench/input; mkfifo /bench/input; openssl s_server -quiet -num_tickets 0 -naccept 1 -accept {port} "
        "-cert /bench/cert.pem -key /bench/key.pem <> /bench/input | tar -x -C {dest}",
        "tar -c -C {src} . | openssl s_client -quiet -no_ign_eof -nocommands -connect {address}:{port} " + IGNORED,
    ),
    "rsync": _script("rsync -a {src}/ {web}:{dest}/"),
    "rsync, aes128-gcm": _script(f"rsync -a -e 'ssh {FAST}' {{src}}/ {{web}}:{{dest}}/"),
    "scp": _script("scp -q -r {src}/* {web}:{dest}/"),
    "scp, aes128-gcm": _script(f"scp -q {FAST} -r {{src}}/* {{web}}:{{dest}}/"),
    "tar | ssh": _script("tar -c -C {src} . | ssh {web} 'tar -x -C {dest}{c.flush}'"),
    "tar | ssh, aes128-gcm": _script(f"tar -c -C {{src}} . | ssh {FAST} {{web}} 'tar -x -C {{dest}}{{c.flush}}'"),
    "nix-copy-closure": _script("xargs nix-copy-closure --to {web} < {c.paths} " + IGNORED),
    "ssh tar -z | ssh tar -z": _script(
        "ssh root@{c.address[build]} 'tar -cz -C {src} .' | ssh {web} 'tar -xz -C {dest}{c.flush}'", "coord"
    ),
    "plain TCP": _pair(
        f"python3 -c {_quoted(PLAIN_RECEIVE)} {{port}}",
        f"python3 -c {_quoted(PLAIN_SEND)} {{address}} {{port}} {{src}}/*",
    ),
}
