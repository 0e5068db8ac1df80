# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An emulated cloud with a clock that only the test moves, reached without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from metal_lab.backends import make_backend
from metal_lab.core import settings as lab_settings
from metal_lab.core.clock import ManualClock
from metal_lab.core.cloud import Cloud
from metal_lab.core.store import Store
from metal_lab.server.app import make_app

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "lab-token"
CONTROL = {"X-Lab-Token": "lab-control"}


@dataclass
class Lab:
    """The cloud and a client that has the token."""

    cloud: Cloud
    http: TestClient

    def bid(self, **changes: Any) -> dict[str, Any]:
        """The body of a spot market request that is in order."""
        instance = {
            "plan": "c3.medium.x86",
            "operating_system": "custom_ipxe",
            "ipxe_script_url": "http://10.213.77.11/lab/netboot.ipxe",
            "hostname": "hydra-builder",
            "tags": ["nixmetal-fleet=lab"],
        } | changes.pop("instance_parameters", {})
        body = {"devices_min": 1, "devices_max": 2, "max_bid_price": 1.0, "metro": "am"} | changes
        return body | {"instance_parameters": instance}

    def request_spot(self, **changes: Any) -> dict[str, Any]:
        answer = self.http.post(f"/metal/v1/projects/{PROJECT}/spot-market-requests", json=self.bid(**changes))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def devices(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.http.get(f"/metal/v1/projects/{PROJECT}/devices", params={"per_page": 1000} | query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["devices"]
        return found

    def active_device(self, **changes: Any) -> dict[str, Any]:
        self.request_spot(devices_max=1, **changes)
        self.pass_time(20)
        (device,) = self.devices()
        assert device["state"] == "active"
        return device

    def event_types(self, device_id: str) -> list[str]:
        """Newest first."""
        events = self.http.get(f"/metal/v1/devices/{device_id}/events", params={"per_page": 1000}).json()["events"]
        return [event["type"] for event in events]

    def pass_time(self, seconds: float) -> None:
        self.cloud.advance(seconds)


MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[MakeLab]:
    """Several labs in one test share one state directory, as an emulator and its successor do."""
    clients = []

    def make(**changes: Any) -> Lab:
        values = {"state_directory": str(tmp_path), "token": TOKEN, "control_token": "lab-control"} | changes
        settings, clock = lab_settings.parse(values), ManualClock()
        store = Store(tmp_path / "state.sqlite3")
        cloud = Cloud(settings, clock, store, make_backend(settings, clock, store, "http://metadata.test"))
        app = make_app(cloud, "http://metadata.test", beat=False)
        client = TestClient(app, base_url="http://api.test", headers={"X-Auth-Token": TOKEN})
        client.__enter__()
        clients.append(client)
        return Lab(cloud, client)

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()
