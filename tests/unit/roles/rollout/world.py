# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet on the emulated cloud whose builders run jobs: what Prometheus, Hydra and SSH say of them is decided by the test."""

from __future__ import annotations

import abc
import json
import shutil
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence, evidence_from

METRIC = "hydra_machine_current_jobs"
# What stands in for ssh asks the world, with the host key that it was told to believe.
SSH = """#!/bin/sh
for word; do
  case $last in -l) : ;; esac
  case $word in UserKnownHostsFile=*) known=${word#*=} ;; esac
  [ "$word" = "sh -s" ] && address=$last
  last=$word
done
exec @curl@ --noproxy '*' -sS -f --max-time 10 -G --data-urlencode "known=$(cat "$known")" "@url@/ssh/$address"
"""


class Answering(abc.ABC):
    """A server on the loopback, and what stands in for ssh and asks it what machines run."""

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def ssh_client(self, path: Path) -> Path:
        path.write_text(SSH.replace("@curl@", self.curl()).replace("@url@", self.url), encoding="utf-8")
        path.chmod(0o755)
        return path

    @staticmethod
    def curl() -> str:
        curl = shutil.which("curl")
        assert curl, "the tests of rollouts want curl"
        return curl

    @abc.abstractmethod
    def _handler(self) -> type[BaseHTTPRequestHandler]:
        """What answers a request."""


@dataclass
class World(Answering):
    """The builders' jobs by address, and what waits in Hydra's queue. `broken` names what fails: down, empty, renamed, null."""

    api: str
    token: str = "lab-token"
    project: str = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
    jobs: dict[str, int] = field(default_factory=dict)
    runnable: int = 0
    broken: str = ""
    unreachable: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    # -- the cloud -------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PUT", path, json.dumps(body).encode())

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, json.dumps(body).encode())

    def delete(self, path: str) -> None:
        self._call("DELETE", path, None)

    def _call(self, method: str, path: str, data: bytes | None) -> Any:
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api}{path}", method=method, data=data, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def devices(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(f"/metal/v1/projects/{self.project}/devices?per_page=100&page={len(found) // 100 + 1}")[
                "devices"
            ]
            found += page
            if len(page) < 100:
                return found

    def evidence(self, device: str) -> Evidence:
        """What the machine has told of itself since its last boot."""
        return evidence_from(self.get(f"/metal/v1/devices/{device}/events?per_page=100")["events"])

    @staticmethod
    def address(device: dict[str, Any]) -> str:
        return next(str(ip["address"]) for ip in device["ip_addresses"] if ip["public"] and ip["address_family"] == 4)

    # -- what the builders and Prometheus say ----------------------------------------------------

    def ssh(self, address: str, known: str) -> tuple[int, str]:
        device = next((one for one in self.devices() if one["ip_addresses"] and self.address(one) == address), None)
        if device is None or address in self.unreachable:
            return 503, "no route"
        said = self.evidence(device["id"])
        key = said.host_key(22)
        if key is None or known.strip() != f"{address} {key}":
            return 403, "Host key verification failed."
        facts = {"boot_id": said.description.get("boot_id"), "image_id": said.description.get("image_id")}
        return 200, json.dumps({**facts, "jobs": self.jobs.get(address, 0), "sessions": 0})

    def prometheus(self, query: str) -> tuple[int, str]:
        if self.broken == "down":
            return 503, "down"
        name = "machine" if self.broken == "renamed" else "host"
        now = time.time()
        addresses = (
            [] if self.broken == "empty" else [self.address(one) for one in self.devices() if one["ip_addresses"]]
        )
        series = [
            {
                "metric": {name: f"build@{address}"},
                "value": [now, str(now - 5) if "timestamp(" in query else str(self.jobs.get(address, 0))],
            }
            for address in addresses
        ]
        result = None if self.broken == "null" else series
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})

    def queue(self) -> tuple[int, str]:
        types = {"x86_64-linux": {"runnable": self.runnable, "running": sum(self.jobs.values())}}
        return 200, json.dumps({"status": "up", "time": int(time.time()), "machines": {}, "machineTypes": types})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                given = urllib.parse.parse_qs(parts.query)
                world.asked.append(parts.path)
                if parts.path.startswith("/ssh/"):
                    status, text = world.ssh(parts.path.rpartition("/")[2], given["known"][0])
                elif parts.path == "/queue-runner-status":
                    status, text = world.queue()
                else:
                    status, text = world.prometheus(given["query"][0])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler
