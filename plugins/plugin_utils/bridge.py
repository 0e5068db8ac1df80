# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way from host to host through the controller, for networks in which neither host can reach the other.

Both sides listen on their own loopback address. The controller's SSH connections forward a stream to each, and the two
streams are joined by the kernel: the controller's Python copies no byte, and what passes is encrypted from end to end.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from ansible.errors import AnsibleActionFail

from .second_host import Side

LOOPBACK = "127.0.0.1"
Place = tuple[Side, int]


@contextlib.contextmanager
def bridge(first: Place, second: Place) -> Iterator[Callable[[], str]]:
    """Join a port of one host with a port of another; what is yielded tells what the SSH clients had to say."""
    commands = [forwarding_command(side, port) for side, port in (first, second) if not side.is_local]
    with tempfile.TemporaryFile() as words, contextlib.ExitStack() as running:
        for command, end in zip(commands, _ends(first, second), strict=True):
            running.enter_context(_running(command, end, words))
        yield lambda: _read(words)


def _ends(first: Place, second: Place) -> tuple[socket.socket, ...]:
    """For each SSH client the socket that is its standard input and output."""
    for side, port in (first, second):
        if side.is_local:
            return (socket.create_connection((LOOPBACK, port)),)
    return socket.socketpair()


@contextlib.contextmanager
def _running(command: list[bytes], end: socket.socket, words: IO[bytes]) -> Iterator[None]:
    with end:  # the child has its own: when it ends, whoever is behind the other end sees it
        process = subprocess.Popen(command, stdin=end.fileno(), stdout=end.fileno(), stderr=words)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _read(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read(2000).decode("utf-8", "replace").strip()


def forwarding_command(side: Side, port: int) -> list[bytes]:
    """The SSH client that forwards its standard input and output to a port of a host's loopback."""
    connection: Any = side.connection
    if not hasattr(connection, "_build_command"):
        raise AnsibleActionFail(
            f"via: controller needs SSH or local connections; {side.name} has {connection.transport}"
        )
    target = f"{LOOPBACK}:{port}"
    host = connection.get_option("host") or side.address
    command: list[bytes] = connection._build_command(connection.get_option("ssh_executable"), "ssh", "-W", target, host)
    if command[0] == b"sshpass":
        raise AnsibleActionFail(f"via: controller needs a login by key; {side.name} is reached with a password")
    return command
