# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""packet-python with the original importer's logic of calls: the emulator is production to it, and ours agrees with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import requests

sys.path.insert(0, str(Path(__file__).parent))
from servers import running, wait_for

packet = pytest.importorskip("packet")
PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture
def manager(cloud, monkeypatch):
    """The library as it is; what it sends to its one address arrives at the emulator, under no prefix as production's."""
    whole = requests.Session.request

    def send(self, method, url, **options):
        return whole(self, method, url.replace("https://api.packet.net", cloud.url, 1), **options)

    monkeypatch.setattr(requests.Session, "request", send)
    return packet.Manager(auth_token="lab-token")


@pytest.fixture(scope="module")
def machines(cloud):
    """Twelve machines that boot, of one hostname."""
    with requests.Session() as http:
        http.headers["X-Auth-Token"] = "lab-token"
        parameters = {"plan": "c3.medium.x86", "operating_system": "debian_12", "hostname": "shared", "tags": ["hydra"]}
        bid = {"devices_min": 12, "devices_max": 12, "max_bid_price": 2, "metro": "am"}
        made = http.post(
            f"{cloud.url}/projects/{PROJECT}/spot-market-requests", json=bid | {"instance_parameters": parameters}
        )
        assert made.status_code == 201

        def active():
            found = http.get(f"{cloud.url}/projects/{PROJECT}/devices?per_page=100").json()["devices"]
            return [item["id"] for item in found if item["state"] == "active"]

        return wait_for("active machines", lambda: active() if len(active()) == 12 else None, 30)


# -- the importer's logic of calls ---------------------------------------------------------------------


def pages(manager, path, key):
    """It follows the link of each page as a path, whatever it holds."""
    while path:
        data = manager.call_api(path)
        yield from data[key]
        following = data["meta"]["next"]
        path = following["href"].lstrip("/") if following else None


def believed(manager, device_id):
    """From the newest event to the latest request for an address; of what it has seen so far, the oldest counts."""
    found = {}
    for event in manager.call_api(f"devices/{device_id}/events?per_page=50")["events"]:
        if event["type"] == "provisioning.104.01":
            break
        if event["type"] in ("user.1001", "user.1002"):
            found[event["type"]] = json.loads(event["body"])
    return found


def imported(manager):
    """Machine by machine: what the importer would write down."""
    rows = {}
    for device in pages(manager, f"projects/{PROJECT}/devices?per_page=5", "devices"):
        if device["state"] == "active" and "skip-hydra" not in device["tags"]:
            said = believed(manager, device["id"])
            key = next(entry["key"] for entry in said["user.1001"] if entry["port"] == 22)
            rows[device["id"]] = (key, sorted(said["user.1002"]["system_types"]), said["user.1002"]["max_jobs"])
    return rows


# ------------------------------------------------------------------------------------------------------


def ours(cloud):
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import reading, sdk, settings
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
    from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import SdkTransport

    options = {"metal_api_url": f"{cloud.url}/metal/v1", "metal_auth_token": "lab-token", "project_id": PROJECT}
    checked = settings.from_options(options, {})
    taken = reading.read(Client(checked, SdkTransport(checked, sdk.load_whole())))
    assert taken["complete"]
    rows = {}
    for machine in taken["machines"]:
        said, tags = machine["evidence"], machine["device"]["tags"]
        if "skip-hydra" not in tags and machine["device"]["state"] == "active":
            (endpoint,) = said["endpoints"]
            description = said["description"]
            rows[machine["device"]["id"]] = (
                endpoint["host_keys"][0], description["system_types"], description["max_jobs"],
            )  # fmt: skip
    return rows


def test_the_importer_reads_what_ours_reads(cloud, manager, machines):
    with requests.Session() as http:
        http.headers["X-Auth-Token"] = "lab-token"
        drained = http.put(f"{cloud.url}/devices/{machines[0]}", json={"tags": ["hydra", "skip-hydra"]})
        assert drained.status_code == 200
        # A build that posts as the machine, after the machine has spoken: neither believes it.
        lie = {"code": "1001", "message": json.dumps([{"system": "x86_64-linux", "port": 22, "key": KEY}])}
        assert http.post(f"{cloud.url}/lab/machines/{machines[1]}/events", json=lie).status_code == 201
    seen = imported(manager)
    assert set(seen) == set(machines[1:])
    assert KEY not in str(seen)
    assert seen == ours(cloud)


def test_the_library_itself(manager, machines):
    assert {device.id for device in manager.list_all_devices(PROJECT)} == set(machines)
    device = manager.get_device(machines[2])
    device.tags = ["hydra", "more"]
    device.update()
    assert manager.get_device(machines[2]).tags == ["hydra", "more"]
    device.reboot()
    assert manager.get_user()["email"]
    assert "c3.medium.x86" in {plan.slug for plan in manager.list_plans()}
    assert "am6" in {facility.code for facility in manager.list_facilities()}
    assert manager.get_spot_market_prices()["am6"]["c3.medium.x86"]["price"] > 0
    assert manager.validate_metro_capacity([("am", "c3.medium.x86", 1)]) is True
    assert manager.list_hardware_reservations(PROJECT) == []
    made = manager.create_device(PROJECT, hostname="one", plan="c3.small.x86", operating_system="debian_12", metro="da")
    assert (made.state, made.metro["code"]) == ("queued", "da")
    made.delete()
    with pytest.raises(packet.Error, match="Error 401: Invalid authentication token"):
        packet.Manager(auth_token="wrong").get_user()
