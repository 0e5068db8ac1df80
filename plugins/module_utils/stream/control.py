# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a later module run on the same host speaks with the transfer's process: a local socket that leaves no file behind.

One request and one answer per connection, each a line of JSON. The request carries the transfer's token, which reaches a
host by module arguments alone, so that no other user of the host can ask or stop.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from .errors import StreamError

Answer = dict[str, Any]
MAX_REQUEST = 4096


class Control:
    """The listening end, inside the transfer's process."""

    def __init__(self, transfer: str, token: str, progress: Callable[[], Answer]) -> None:
        self._token = token
        self._progress = progress
        self._outcome: Answer | None = None
        self._ended = threading.Condition()
        self._collected = threading.Event()
        self.stopped = threading.Event()
        self._path = _path(transfer)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self._path)
        self._socket.listen(4)
        threading.Thread(target=self._serve, daemon=True).start()

    def publish(self, outcome: Answer) -> None:
        """Say how the transfer ended."""
        with self._ended:
            self._outcome = outcome
            self._ended.notify_all()

    def linger(self, seconds: float) -> None:
        """Stay until the outcome was asked for, but not for ever."""
        self._collected.wait(seconds)

    def close(self) -> None:
        """Take the address away."""
        self._socket.close()
        if not self._path.startswith("\0"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_one, args=(connection,), daemon=True).start()

    def _serve_one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, TypeError), connection:
            connection.settimeout(10)
            request = json.loads(_read_line(connection, MAX_REQUEST))
            if not hmac.compare_digest(str(request["token"]), self._token):
                return
            if request["verb"] == "stop":
                self.stopped.set()
            answer = self._wait(min(float(request["seconds"]), 3600.0))
            connection.sendall(json.dumps(answer).encode("utf-8") + b"\n")
            if answer["finished"]:
                self._collected.set()

    def _wait(self, seconds: float) -> Answer:
        with self._ended:
            self._ended.wait_for(lambda: self._outcome is not None, seconds)
            if self._outcome is not None:
                return {"finished": True, "outcome": self._outcome}
        return {"finished": False, "progress": self._progress()}


def ask(transfer: str, token: str, verb: str, seconds: float) -> Answer:
    """Ask the transfer's process on this host: wait for its end, or make it end."""
    request = json.dumps({"token": token, "verb": verb, "seconds": seconds}).encode("utf-8") + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds + 20)
            connection.connect(_path(transfer))
            connection.sendall(request)
            answer = json.loads(_read_line(connection, 1 << 26))
    except (OSError, ValueError) as problem:
        raise StreamError(f"the transfer's process on this host is gone ({problem})") from problem
    if not isinstance(answer, dict):
        raise StreamError("the transfer's process on this host gave no answer")
    return answer


def _path(transfer: str) -> str:
    """An abstract address on Linux, which vanishes with its process; elsewhere a file."""
    name = f"nixmetal-stream-{transfer}"
    return "\0" + name if sys.platform == "linux" else os.path.join(tempfile.gettempdir(), name)


def _read_line(connection: socket.socket, limit: int) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        received = connection.recv(65536)
        if not received or len(line) + len(received) > limit:
            raise ValueError("the line is cut off or too long")
        line += received
    return bytes(line)
