# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every answer of the emulator against the published specification, which the environment variable METAL_OPENAPI names.

The specification allows no null while production sent many, so nulls are dropped first. Where it is known to be wrong about
production, the emulator follows production: DEPARTURES.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
SPECIFICATION = os.environ.get("METAL_OPENAPI")
pytestmark = pytest.mark.skipif(
    not SPECIFICATION, reason="METAL_OPENAPI does not name the OpenAPI file of the Metal API"
)

# One Href by the specification; the answers of production were lists.
METHODS = {"get", "post", "put", "patch", "delete"}
DEPARTURES = re.compile(r"^(spot_market_requests\.\d+\.)?facilities$")


@pytest.fixture(scope="module")
def specification():
    return yaml.safe_load(Path(str(SPECIFICATION)).read_text(encoding="utf-8"))


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def complaints(specification, method, path, answer):
    """What is wrong with an answer, by the specification of its operation and status."""
    operation = specification["paths"][path][method.lower()]
    documented = operation["responses"]
    assert str(answer.status_code) in documented, f"{method} {path}: {answer.status_code} is not documented"
    content = documented[str(answer.status_code)].get("content")
    if content is None:
        return []
    schema = content["application/json"]["schema"] | {"components": specification["components"]}
    faults = Draft202012Validator(schema).iter_errors(without_nulls(answer.json()))
    placed = ((".".join(str(part) for part in fault.absolute_path), fault.message) for fault in faults)
    return [f"{place}: {message}" for place, message in placed if not DEPARTURES.match(place)]


def calls(lab):
    """One call of every operation that the emulator has, and some refusals: (method, documented path, path, body)."""
    device, spot = lab.active_device(), lab.request_spot(max_bid_price=0.01)
    key = lab.http.post("/ssh-keys", json={"label": "a", "key": "ssh-ed25519 A"}).json()
    organization = lab.http.get(f"/projects/{PROJECT}").json()["organization"]["href"].rsplit("/", 1)[1]
    one, project, nothing = f"/devices/{device['id']}", f"/projects/{PROJECT}", "00000000-0000-0000-0000-000000000000"
    order = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "da"}
    for _number in range(2):
        lab.cloud.reservations.add("c3.small.x86", "da")
    reserved = order | {"hardware_reservation_id": "next-available"}
    server = {"plan": "c3.small.x86", "metro": "da", "quantity": "2"}
    prices = "facility=am6&plan=c3.small.x86&from=1699999000&until=1700000000"
    return [
        ("GET", "/projects/{id}/spot-market-requests", f"{project}/spot-market-requests", None),
        ("POST", "/projects/{id}/spot-market-requests", f"{project}/spot-market-requests", lab.bid()),
        ("GET", "/spot-market-requests/{id}", f"/spot-market-requests/{spot['id']}?include=devices", None),
        ("GET", "/spot-market-requests/{id}", f"/spot-market-requests/{nothing}", None),
        ("DELETE", "/spot-market-requests/{id}", f"/spot-market-requests/{spot['id']}", None),
        ("GET", "/market/spot/prices", "/market/spot/prices", None),
        ("GET", "/market/spot/prices", "/market/spot/prices?plan=none", None),
        ("GET", "/market/spot/prices/metros", "/market/spot/prices/metros", None),
        ("GET", "/market/spot/prices/history", f"/market/spot/prices/history?{prices}", None),
        ("GET", "/market/spot/prices/history", "/market/spot/prices/history", None),
        ("GET", "/projects/{id}/devices", f"{project}/devices?per_page=1", None),
        ("GET", "/projects/{id}/devices", f"/projects/{nothing}/devices", None),
        ("POST", "/projects/{id}/devices", f"{project}/devices", order),
        ("POST", "/projects/{id}/devices", f"{project}/devices", reserved),
        ("POST", "/projects/{id}/devices", f"{project}/devices", {"plan": "none"}),
        ("GET", "/devices/{id}", one, None),
        ("PUT", "/devices/{id}", one, {"tags": ["a"]}),
        ("PATCH", "/devices/{id}", one, {"tags": ["b"]}),
        ("PUT", "/devices/{id}", one, {"tags": 7}),
        ("POST", "/devices/{id}/actions", f"{one}/actions", {"type": "reboot"}),
        ("POST", "/devices/{id}/actions", f"{one}/actions", {"type": "power_on"}),
        ("GET", "/devices/{id}/events", f"{one}/events", None),
        ("GET", "/projects/{id}/events", f"{project}/events", None),
        ("DELETE", "/devices/{id}", one, None),
        ("GET", "/organizations/{id}", f"/organizations/{organization}", None),
        ("GET", "/projects/{id}", project, None),
        ("GET", "/locations/metros", "/locations/metros", None),
        ("GET", "/plans", "/plans", None),
        ("GET", "/projects/{id}/plans", f"{project}/plans", None),
        ("GET", "/operating-systems", "/operating-systems", None),
        ("GET", "/projects/{id}/hardware-reservations", f"{project}/hardware-reservations?include=device", None),
        ("GET", "/projects/{id}/hardware-reservations", f"{project}/hardware-reservations?per_page=1", None),
        ("POST", "/projects/{id}/devices", f"{project}/devices", order | {"hardware_reservation_id": "none"}),
        ("GET", "/capacity/metros", "/capacity/metros", None),
        ("POST", "/capacity/metros", "/capacity/metros", {"servers": [server]}),
        ("POST", "/capacity/metros", "/capacity/metros", {"servers": 1}),
        ("GET", "/ssh-keys", "/ssh-keys", None),
        ("POST", "/ssh-keys", "/ssh-keys", {"label": "a", "key": "ssh-ed25519 A"}),
        ("GET", "/ssh-keys/{id}", f"/ssh-keys/{key['id']}", None),
        ("PUT", "/ssh-keys/{id}", f"/ssh-keys/{key['id']}", {"label": "b"}),
        ("DELETE", "/ssh-keys/{id}", f"/ssh-keys/{key['id']}", None),
        ("GET", "/projects/{id}/ssh-keys", f"{project}/ssh-keys", None),
        ("POST", "/projects/{id}/ssh-keys", f"{project}/ssh-keys", {"label": "a", "key": "ssh-ed25519 A"}),
        ("GET", "/user", "/user", None),
        ("GET", "/facilities", "/facilities", None),
        ("GET", "/projects/{id}/facilities", f"{project}/facilities", None),
    ]


def test_answers_are_what_the_specification_documents(lab, specification):
    made = calls(lab)
    every = {
        (method.upper(), path) for path, item in specification["paths"].items() for method in item if method in METHODS
    }
    assert {(method, path) for method, path, _answer, _code in made} == every
    faults = []
    for method, documented, path, body in made:
        answer = lab.http.request(method, f"/metal/v1{path}", json=body)
        faults += [f"{method} {path}: {text}" for text in complaints(specification, method, documented, answer)]
    assert faults == []
