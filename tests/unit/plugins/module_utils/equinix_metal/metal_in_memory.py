# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small market in memory: what is bought is counted, and calls can fail before or after they took effect."""

from __future__ import annotations

import json
import random
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer, Call, Failure

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
REQUESTS = f"/projects/{PROJECT}/spot-market-requests"


class Crash(BaseException):
    """The controller died between a call and its answer."""


class Market:
    """Spot market requests and their machines, as the API would keep them."""

    def __init__(self, machines: bool = False) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.machines = machines
        self.created: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.ticks = 0

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        self.ticks += 1
        request_id = f"r{self.ticks:04}"
        parameters = body["instance_parameters"]
        request = {
            **{name: body[name] for name in ("devices_min", "devices_max", "max_bid_price", "end_at")},
            "id": request_id,
            "created_at": f"2026-11-23T04:{self.ticks // 60:02}:{self.ticks % 60:02}Z",
            "metro": {"code": body["metro"]},
            "plan": {"slug": parameters["plan"]},
            "devices": [],
            "facilities": [],
        }
        self.requests[request_id] = request
        self.created.append(request_id)
        self.bodies.append(body)
        if self.machines:
            self.fill(request_id, parameters["tags"], parameters["plan"])
        return request

    def fill(self, request_id: str, tags: list[str], plan: str = "c3.small.x86", state: str = "active") -> None:
        request = self.requests[request_id]
        for number in range(request["devices_max"]):
            device_id = f"{request_id}-d{number}"
            device = {"id": device_id, "tags": tags, "state": state, "plan": {"slug": plan}, "spot_instance": True}
            self.devices[device_id] = device
            request["devices"].append(device)

    def delete(self, request_id: str, force: bool) -> int:
        request = self.requests.pop(request_id, None)
        if request is None:
            return 404
        for device in request["devices"] if force else []:
            self.devices.pop(device["id"])
        return 204

    def answer(self, call: Call) -> tuple[int, Any]:
        if call.method == "POST" and call.path == REQUESTS:
            return 201, self.create(call.body)
        if call.method == "DELETE":
            return self.delete(call.path.rpartition("/")[2], dict(call.query).get("force_termination") == "true"), None
        if call.path == REQUESTS:
            return 200, {"spot_market_requests": list(self.requests.values())}
        if call.path.startswith("/spot-market-requests/"):
            found = self.requests.get(call.path.rpartition("/")[2])
            return (200, found) if found else (404, {"errors": ["Not found"]})
        return 200, self._catalogue(call)

    def _catalogue(self, call: Call) -> Any:
        if call.path.endswith("/plans"):
            return {"plans": [{"slug": "c3.small.x86"}, {"slug": "c3.medium.x86"}]}
        if call.path.endswith("/metros"):
            return {"metros": [{"code": "am", "id": "m1"}, {"code": "da", "id": "m2"}]}
        tag = dict(call.query).get("tag")
        found = [device for device in self.devices.values() if tag in (None, *device["tags"])]
        return {"devices": found, "meta": {"total": len(found), "current_page": 1, "last_page": 1, "next": None}}

    def send(self, call: Call) -> Answer | Failure:
        status, body = self.answer(json_copy(call))
        return Answer(status, b"" if body is None else json.dumps(body).encode(), {})


class Faulty:
    """Passes calls on to a market, with faults of every kind at a given rate."""

    def __init__(self, market: Market, seed: int, rate: float) -> None:
        self.market, self.random, self.rate = market, random.Random(seed), rate
        self.faults = 0

    def send(self, call: Call) -> Answer | Failure:
        if self.random.random() >= self.rate:
            return self.market.send(call)
        self.faults += 1
        return self.random.choice([self._before, self._after, self._garbage, self._crash])(call)

    def _before(self, _call: Call) -> Answer | Failure:
        return self._refusal()

    def _after(self, call: Call) -> Answer | Failure:
        self.market.send(call)
        lost = [Failure("reset", sent=True), Failure("TLS broke after the call was read", sent=True)]
        return self.random.choice([Answer(status, b"", {}) for status in (500, 502, 503, 504)] + lost)

    def _garbage(self, call: Call) -> Answer | Failure:
        answered = self.market.send(call)
        if isinstance(answered, Failure):
            return answered
        return Answer(answered.status, self.random.choice([b"", b"<html>", answered.body[:20], b"[]", b"{}"]), {})

    def _crash(self, call: Call) -> Answer | Failure:
        if self.random.random() < 0.5:
            self.market.send(call)
        raise Crash

    def _refusal(self) -> Answer | Failure:
        lost = [Failure("refused", sent=False), Failure("reset", sent=True)]
        return self.random.choice([*(Answer(status, b"", {}) for status in (429, 500, 502, 503, 504)), *lost])


def json_copy(call: Call) -> Call:
    """A call as it would be on the wire."""
    return Call(call.method, call.path, call.query, json.loads(json.dumps(call.body)))
