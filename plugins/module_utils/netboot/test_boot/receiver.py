# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server for one machine: the script, the blobs, and a metadata service that takes its reports.

It speaks what nix/lib/phone-home.sh speaks: the metadata name a phone_home_url; events are posted beside it, and code 1002
holds the machine's description of itself, with its image id and boot id.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from typing import Any, NamedTuple

LONGEST_REPORT = 1 << 20
SELF_DESCRIPTION = 1002


class Report(NamedTuple):
    """What the machine has said of itself."""

    image_id: str
    boot_id: str


class Receiver(http.server.ThreadingHTTPServer):
    """Serves on a free port of the loopback device."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.texts: dict[str, bytes] = {}
        self.files: dict[str, str] = {}
        self.report: Report | None = None
        self.requests: list[str] = []
        # The machine is ready, which it says last.
        self.ready = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve from now on, in a thread that ends with the process or with shutdown()."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
        self.server.requests.append(format % args)

    def do_GET(self) -> None:
        if self.path == "/metadata":
            where = f"http://{self.headers.get('Host', '')}/phone-home"
            self._answer(json.dumps({"id": "test-boot", "phone_home_url": where}).encode("ascii"))
        elif self.path in self.server.texts:
            self._answer(self.server.texts[self.path])
        elif self.path in self.server.files:
            self._send(self.server.files[self.path])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, LONGEST_REPORT))
        if self.path == "/events":
            self.server.report = _self_description(body) or self.server.report
        elif self.path == "/phone-home":
            self.server.ready.set()
        else:
            self.send_error(404)
            return
        self._answer(b"")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send(self, path: str) -> None:
        with open(path, "rb") as stream:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(stream.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(stream, self.wfile, 1 << 20)


def _self_description(body: bytes) -> Report | None:
    """The report in an event, if it is one. A machine may say anything."""
    try:
        event = json.loads(body)
        if not isinstance(event, dict) or event.get("code") != SELF_DESCRIPTION:
            return None
        told = json.loads(event["message"])
        return Report(str(told["image_id"]), str(told["boot_id"]))
    except (ValueError, KeyError, TypeError):
        return None
