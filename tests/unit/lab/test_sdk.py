# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The equinix-metal SDK's own models on every answer that they can parse."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from servers import running, wait_for

equinix_metal = pytest.importorskip("equinix_metal")
PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    reservations = [{"plan": "c3.small.x86", "metro": "da"}]
    with running(tmp_path_factory.mktemp("emulator"), reservations=reservations) as emulator:
        configuration = equinix_metal.Configuration(
            host=f"{emulator.url}/metal/v1", api_key={"x_auth_token": "lab-token"}
        )
        yield equinix_metal.ApiClient(configuration)


@pytest.fixture(scope="module")
def device(client):
    order = equinix_metal.DeviceCreateInMetroInput(
        metro="am",
        plan="c3.medium.x86",
        operating_system="custom_ipxe",
        ipxe_script_url="http://10.213.77.11/x.ipxe",
        hostname="sdk",
        tags=["a"],
    )
    api = equinix_metal.DevicesApi(client)
    made = api.create_device(PROJECT, equinix_metal.CreateDeviceRequest(order))
    assert made is not None

    def active():
        found = api.find_device_by_id(made.id)
        return found if found.state == "active" else None

    return wait_for("an active device", active, 20)


def test_devices(client, device):
    api = equinix_metal.DevicesApi(client)
    assert (device.hostname, device.plan.slug, device.metro.code) == ("sdk", "c3.medium.x86", "am")
    assert device.ip_addresses[0].address == "10.213.77.101"
    listed = api.find_project_devices(PROJECT, include=["project"], exclude=["plan"])
    assert [item.id for item in listed.devices] == [device.id]
    pages = list(api.find_project_devices_all_pages(PROJECT).devices)
    assert [item.id for item in pages] == [device.id]
    updated = api.update_device(device.id, equinix_metal.DeviceUpdateInput(tags=["b"]))
    assert updated.tags == ["b"]
    assert api.perform_action(device.id, equinix_metal.DeviceActionInput(type="reboot")) is None


def test_events(client, device):
    api = equinix_metal.EventsApi(client)
    events = api.find_device_events(device.id, per_page=50).events
    assert {"user.1001", "user.1002", "provisioning.104.01"} <= {event.type for event in events}
    assert api.find_project_events(PROJECT).meta.total >= len(events)


def test_catalogue(client):
    plans = equinix_metal.PlansApi(client).find_plans_by_project(PROJECT).plans
    assert "c3.large.arm64" in {plan.slug for plan in plans}
    assert "am" in {metro.code for metro in equinix_metal.MetrosApi(client).find_metros().metros}
    systems = equinix_metal.OperatingSystemsApi(client).find_operating_systems().operating_systems
    assert "custom_ipxe" in {system.slug for system in systems}
    assert equinix_metal.FacilitiesApi(client).find_facilities().facilities
    capacity = equinix_metal.CapacityApi(client).find_capacity_for_metro_without_preload_content()
    assert capacity.status == 200


def test_account(client):
    assert equinix_metal.ProjectsApi(client).find_project_by_id(PROJECT).name == "lab"
    assert equinix_metal.UsersApi(client).find_current_user().email
    assert equinix_metal.SSHKeysApi(client).find_project_ssh_keys(PROJECT).ssh_keys == []


def test_reserved_servers(client):
    api = equinix_metal.HardwareReservationsApi(client)
    (free,) = api.find_project_hardware_reservations(PROJECT, provisionable="only").hardware_reservations
    assert (free.plan.slug, free.facility.code, free.provisionable, free.device) == ("c3.small.x86", "da11", True, None)
    order = equinix_metal.DeviceCreateInMetroInput(
        metro="da", plan="c3.small.x86", operating_system="debian_12", hardware_reservation_id=free.id
    )
    made = equinix_metal.DevicesApi(client).create_device(PROJECT, equinix_metal.CreateDeviceRequest(order))
    assert made.hardware_reservation.href.endswith(free.id)
    (used,) = api.find_project_hardware_reservations(PROJECT, state="active", include=["device"]).hardware_reservations
    assert used.device.id == made.id
    assert api.find_hardware_reservation_by_id(free.id).provisionable is False
    assert equinix_metal.DevicesApi(client).delete_device(made.id, force_delete=True) is None


def test_keys_and_owners(client):
    keys = equinix_metal.SSHKeysApi(client)
    made = keys.create_ssh_key(equinix_metal.SSHKeyCreateInput(label="mine", key="ssh-ed25519 AAAA"))
    assert keys.find_ssh_key_by_id(made.id).label == "mine"
    assert keys.update_ssh_key(made.id, equinix_metal.SSHKeyInput(label="ours")).label == "ours"
    assert [key.id for key in keys.find_ssh_keys().ssh_keys] == [made.id]
    assert keys.delete_ssh_key(made.id) is None
    # The model keeps no more than the link, included or not.
    project = equinix_metal.ProjectsApi(client).find_project_by_id(PROJECT)
    organization = project.organization.href.rpartition("/")[2]
    assert equinix_metal.OrganizationsApi(client).find_organization_by_id(organization).name == "Lab"
    assert [item.id for item in equinix_metal.ProjectsApi(client).find_projects().projects] == [PROJECT]


def test_spot_market(client):
    """The models cannot read what production sent here (facilities and devices are lists): raw answers."""
    api = equinix_metal.SpotMarketApi(client)
    body = equinix_metal.SpotMarketRequestCreateInput(
        devices_min=1,
        devices_max=1,
        max_bid_price=0.01,
        metro="am",
        instance_parameters=equinix_metal.SpotMarketRequestCreateInputInstanceParameters(
            plan="c3.medium.x86", operating_system="debian_12"
        ),
    )
    made = api.create_spot_market_request_without_preload_content(PROJECT, body)
    assert made.status == 201
    listing = api.list_spot_market_requests_without_preload_content(PROJECT)
    assert listing.status == 200
    request_id = made.json()["id"]
    delete = functools.partial(api.delete_spot_market_request, request_id, force_termination=True)
    assert delete() is None
    with pytest.raises(equinix_metal.exceptions.NotFoundException):
        delete()
    assert api.find_metro_spot_market_prices().to_dict() is not None


def test_refusals_are_the_exceptions_that_the_sdk_knows(client):
    api = equinix_metal.DevicesApi(client)
    with pytest.raises(equinix_metal.exceptions.NotFoundException):
        api.find_device_by_id("00000000-0000-0000-0000-000000000000")
    configuration = equinix_metal.Configuration(host=client.configuration.host, api_key={"x_auth_token": "wrong"})
    with pytest.raises(equinix_metal.exceptions.UnauthorizedException):
        equinix_metal.DevicesApi(equinix_metal.ApiClient(configuration)).find_project_devices(PROJECT)
