# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's emulator in this process, without a network, on a clock that moves when a client sleeps."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer, Call, Failure
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Clock
from metal_lab.backends import make_backend
from metal_lab.core import settings as lab_settings
from metal_lab.core.clock import ManualClock
from metal_lab.core.cloud import Cloud
from metal_lab.core.store import Store
from metal_lab.server.app import make_app

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "lab-token"


class Crash(BaseException):
    """The controller died between a call and its answer."""


class Emulated:
    """A transport into the emulator. `spoil` may look at each call, and answer in the emulator's place."""

    def __init__(self, cloud: Cloud, http: TestClient) -> None:
        self.cloud, self.http = cloud, http
        self.calls: list[Call] = []
        self.spoil: Callable[[Call], Answer | Failure | None] = lambda _call: None

    def send(self, call: Call) -> Answer | Failure:
        self.calls.append(call)
        spoilt = self.spoil(call)
        return self.reach(call) if spoilt is None else spoilt

    def reach(self, call: Call) -> Answer:
        body = None if call.body is None else json.loads(json.dumps(call.body))
        seen = self.http.request(call.method, f"/metal/v1{call.path}", params=list(call.query), json=body)
        return Answer(seen.status_code, seen.content, {name.lower(): value for name, value in seen.headers.items()})

    def client(self, tries: int = 4) -> Client:
        settings = Settings(url="https://metal.test/metal/v1", token=TOKEN, project_id=PROJECT, tries=tries)
        clock = Clock(monotonic=self.cloud.clock.now, sleep=self.sleep, random=lambda: 0.0)
        return Client(settings, self, clock, now=self.cloud.clock.now)

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.cloud.advance(seconds)

    def live(self) -> list[Any]:
        return [device for device in self.cloud.store.devices.values() if device.state != "deprovisioning"]

    def posts(self) -> list[Call]:
        return [call for call in self.calls if call.method == "POST"]


@contextmanager
def emulated(directory: Path, **changes: Any) -> Iterator[Emulated]:
    values = {"state_directory": str(directory), "token": TOKEN, **changes}
    settings, clock, store = lab_settings.parse(values), ManualClock(), Store(None)
    cloud = Cloud(settings, clock, store, make_backend(settings, clock, store, "http://metadata.test"))
    app = make_app(cloud, "http://metadata.test", beat=False)
    with TestClient(app, base_url="http://api.test", headers={"X-Auth-Token": TOKEN}) as http:
        yield Emulated(cloud, http)


class Faulty:
    """Spoils calls at a given rate: before or after their effect, by an error, by garbage, or by the controller's death."""

    def __init__(self, api: Emulated, seed: int, rate: float) -> None:
        self.api, self.random, self.rate, self.faults = api, random.Random(seed), rate, 0

    def __call__(self, call: Call) -> Answer | Failure | None:
        if self.random.random() >= self.rate:
            return None
        self.faults += 1
        return self.random.choice([self._before, self._after, self._garbage, self._crash])(call)

    def _before(self, _call: Call) -> Answer | Failure:
        lost = [Failure("refused", sent=False), Failure("reset", sent=True)]
        answers = [Answer(status, b"", {}) for status in (429, 500, 502, 503, 504)]
        return self.random.choice([*answers, *lost])

    def _after(self, call: Call) -> Answer | Failure:
        self.api.reach(call)
        lost = [Failure("reset", sent=True), Failure("TLS broke after the call was read", sent=True)]
        return self.random.choice([*(Answer(status, b"", {}) for status in (500, 502, 503, 504)), *lost])

    def _garbage(self, call: Call) -> Answer | Failure:
        seen = self.api.reach(call)
        return Answer(seen.status, self.random.choice([b"", b"<html>", seen.body[:20], b"[]", b"{}"]), {})

    def _crash(self, call: Call) -> Answer | Failure:
        if self.random.random() < 0.5:
            self.api.reach(call)
        raise Crash
