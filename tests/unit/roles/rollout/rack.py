# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of one's own: nobody tells of them but they themselves, over SSH, and they are rebooted over SSH."""

from __future__ import annotations

import json
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from world import Answering

DOWN_SECONDS = 2.0


@dataclass
class Machine:
    """One that boots whatever the channel has."""

    address: str
    host_key: str
    image: str
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    jobs: int = 0
    reboots: int = 0
    up_at: float = 0.0
    down_seconds: float = DOWN_SECONDS

    def reboot(self, image: str) -> None:
        self.reboots += 1
        self.up_at = time.monotonic() + self.down_seconds
        self.boot_id, self.image = str(uuid.uuid4()), image

    @property
    def is_up(self) -> bool:
        return time.monotonic() >= self.up_at


class Rack(Answering):
    """The machines by name, the image that they boot next, and what they answer."""

    def __init__(self, machines: dict[str, Machine], image: str) -> None:
        self.machines = machines
        self.image = image
        self.start()

    def reboot_command(self) -> str:
        return f"{self.curl()} --noproxy '*' -sS -f {self.url}/reboot/{{{{ __ssh_host_id | default('') }}}}"

    def ssh(self, address: str, known: str) -> tuple[int, str]:
        machine = next(one for one in self.machines.values() if one.address == address)
        if not machine.is_up:
            return 503, "no route"
        if known.strip() != f"{address} {machine.host_key}":
            return 403, "Host key verification failed."
        facts = {"boot_id": machine.boot_id, "image_id": machine.image}
        return 200, json.dumps({**facts, "jobs": machine.jobs, "sessions": machine.jobs})

    def reboot(self, name: str) -> tuple[int, str]:
        if not self.machines[name].is_up:
            return 503, "no route"
        self.machines[name].reboot(self.image)
        return 200, ""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        rack = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                what, name = parts.path.strip("/").split("/")
                known = urllib.parse.parse_qs(parts.query).get("known", [""])[0]
                status, text = rack.ssh(name, known) if what == "ssh" else rack.reboot(name)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler
