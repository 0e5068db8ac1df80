# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices: lists and filters, updates, actions, the states they pass through."""

from __future__ import annotations

import pytest

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
DEVICES = f"/metal/v1/projects/{PROJECT}/devices"
CONTROL = {"X-Lab-Token": "lab-control"}
ORDER = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "da", "hostname": "one"}


def test_an_on_demand_device_goes_from_queued_to_active(lab):
    answer = lab.http.post(DEVICES, json=ORDER)
    assert answer.status_code == 201
    device = answer.json()
    assert (device["state"], device["device_type"], device["spot_instance"]) == ("queued", "on_demand", False)
    states = []
    for _number in range(6):
        lab.pass_time(1)
        states.append(lab.http.get(f"/devices/{device['id']}").json()["state"])
    assert states == ["provisioning"] * 3 + ["active"] * 3


def test_full_objects_stand_in_lists_without_include(lab):
    lab.http.post(DEVICES, json=ORDER)
    (device,) = lab.devices()
    assert device["plan"]["slug"] == device["plan"]["class"] == "c3.small.x86"
    assert device["facility"]["code"] == "da11"
    assert device["metro"]["code"] == "da"
    assert device["operating_system"]["slug"] == "debian_12"
    assert device["short_id"] == device["id"].split("-")[0]
    assert device["ipxe_script_url"] is None


def test_exclude_cuts_down_to_hrefs_and_include_expands(lab):
    lab.http.post(DEVICES, json=ORDER)
    (device,) = lab.devices(exclude="plan,facility.metro", include="project")
    assert set(device["plan"]) == {"href"}
    assert set(device["facility"]["metro"]) == {"href"}
    assert device["facility"]["code"] == "da11"
    assert device["project"]["name"] == "lab"


def test_what_one_answer_leaves_out_the_next_one_has(lab):
    """Ports and addresses are made once for a device, and belong to it alone."""
    one = lab.http.post(DEVICES, json=ORDER).json()
    other = lab.http.post(DEVICES, json=ORDER | {"hostname": "other"}).json()
    for device in lab.devices(exclude="network_ports,ip_addresses.metro,ip_addresses.parent_block"):
        assert all(set(port) == {"href"} for port in device["network_ports"])
        assert all(set(address["parent_block"]) == {"href"} for address in device["ip_addresses"])
    for field in ("network_ports", "ip_addresses"):
        assert {device["id"]: device[field] for device in lab.devices()} == {
            one["id"]: one[field],
            other["id"]: other[field],
        }
        assert not {item["id"] for item in one[field]} & {item["id"] for item in other[field]}


@pytest.mark.parametrize(
    ("query", "hostnames"),
    [
        ({}, ["one", "two"]),
        ({"hostname": "wo"}, ["two"]),
        ({"search": "on"}, ["one"]),
        ({"tag": "blue"}, ["two"]),
        ({"metro": "da"}, ["one"]),
        ({"facility": "am6"}, ["two"]),
        ({"type": "ondemand"}, ["one"]),
        ({"type": "spot"}, ["two"]),
        ({"reserved": "true"}, []),
        ({"has_termination_time": "false"}, ["one", "two"]),
    ],
)
def test_filters(lab, query, hostnames):
    lab.http.post(DEVICES, json=ORDER)
    spot = {
        "metro": ["xx-unknown"],
        "spot_instance": True,
        "spot_price_max": "0.5",
        "tags": ["blue"],
        "hostname": "two",
    }
    assert lab.http.post(DEVICES, json=ORDER | spot).status_code == 422
    assert lab.http.post(DEVICES, json=ORDER | spot | {"metro": ["am", "any"]}).status_code == 201
    assert sorted(device["hostname"] for device in lab.devices(**query)) == hostnames


def test_pages_link_to_each_other_without_the_prefix(lab):
    for number in range(5):
        lab.http.post(DEVICES, json=ORDER | {"hostname": f"node{number}"})
    seen, path = [], f"/projects/{PROJECT}/devices?per_page=2&exclude=plan"
    while path:
        answer = lab.http.get(f"/metal/v1{path}").json()
        seen += [device["hostname"] for device in answer["devices"]]
        meta = answer["meta"]
        assert (meta["total"], meta["last_page"]) == (5, 3)
        path = meta["next"]["href"] if meta["next"] else None
    assert seen == ["node4", "node3", "node2", "node1", "node0"]
    assert meta["next"] is None
    assert meta["current_page"] == 3


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_update_is_partial_and_replaces_tags_whole(lab, method):
    device = lab.active_device()
    answer = lab.http.request(method, f"/devices/{device['id']}", json={"id": device["id"], "tags": ["skip-hydra"]})
    assert answer.status_code == 200
    assert answer.json()["tags"] == ["skip-hydra"]
    assert answer.json()["hostname"] == device["hostname"]
    assert lab.http.request(method, f"/devices/{device['id']}", json={"tags": "x"}).status_code == 422


def test_reboot_keeps_the_state_and_sends_new_events(lab):
    device = lab.active_device()
    before = lab.event_types(device["id"])
    answer = lab.http.post(f"/devices/{device['id']}/actions", json={"type": "reboot"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert lab.http.get(f"/devices/{device['id']}").json()["state"] == "active"
    assert lab.event_types(device["id"]) == ["provisioning.104.01", *before]
    lab.pass_time(5)
    assert lab.event_types(device["id"])[:3] == ["user.1002", "user.1001", "provisioning.104.01"]


def test_power_off_and_on(lab):
    device = lab.active_device()
    url = f"/devices/{device['id']}"
    for action, during, after in (("power_off", "powering_off", "inactive"), ("power_on", "powering_on", "active")):
        assert lab.http.post(f"{url}/actions", json={"type": action}).status_code == 202
        assert lab.http.get(url).json()["state"] == during
        lab.pass_time(2)
        assert lab.http.get(url).json()["state"] == after


def test_reinstall_takes_a_new_script_and_ends_active(lab):
    device = lab.active_device()
    url = f"/devices/{device['id']}"
    body = {"type": "reinstall", "ipxe_script_url": "http://10.213.77.11/other.ipxe"}
    assert lab.http.post(f"{url}/actions", json=body).status_code == 202
    assert lab.http.get(url).json()["state"] == "reinstalling"
    lab.pass_time(5)
    again = lab.http.get(url).json()
    assert (again["state"], again["ipxe_script_url"]) == ("active", "http://10.213.77.11/other.ipxe")


@pytest.mark.parametrize("action", ["power_on", "explode", None, 7])
def test_impossible_actions_are_422(lab, action):
    device = lab.active_device()
    assert lab.http.post(f"/devices/{device['id']}/actions", json={"type": action}).status_code == 422


def test_a_locked_device_is_not_deleted(lab):
    device = lab.active_device(instance_parameters={"locked": True})
    refused = lab.http.delete(f"/devices/{device['id']}")
    assert (refused.status_code, refused.json()) == (422, {"errors": ["Cannot delete a locked item."]})
    lab.http.put(f"/devices/{device['id']}", json={"locked": False})
    assert lab.http.delete(f"/devices/{device['id']}").status_code == 204
    assert lab.http.get(f"/devices/{device['id']}").json()["state"] == "deprovisioning"


def test_a_spot_machine_turned_on_demand_cannot_be_outbid(lab):
    device = lab.active_device()
    lab.http.put(f"/devices/{device['id']}", json={"spot_instance": False})
    lab.http.post("/lab/prices", json={"plan": "c3.medium.x86", "metro": "am", "price": 50}, headers=CONTROL)
    lab.pass_time(200)
    kept = lab.http.get(f"/devices/{device['id']}").json()
    assert (kept["state"], kept["device_type"], kept["termination_time"]) == ("active", "on_demand", None)


def test_no_room_and_too_low_a_single_bid_are_refused(lab):
    spot = ORDER | {"spot_instance": True, "spot_price_max": 0.01}
    assert "below the current market price" in lab.http.post(DEVICES, json=spot).json()["errors"][0]
    lab.http.post("/lab/capacity", json={"plan": "c3.small.x86", "metro": "da", "count": 0}, headers=CONTROL)
    assert "no provisionable c3.small.x86 servers" in lab.http.post(DEVICES, json=ORDER).json()["errors"][0]
    query = {"servers": [{"metro": "da", "plan": "c3.small.x86", "quantity": "1"}]}
    (checked,) = lab.http.post("/capacity/metros", json=query).json()["servers"]
    assert checked == {"metro": "da", "plan": "c3.small.x86", "quantity": "1", "available": False}


def test_an_empty_address_pool_names_the_setting(make_lab):
    lab = make_lab(pool={"first": "10.213.77.101", "last": "10.213.77.101"})
    assert lab.http.post(DEVICES, json=ORDER).status_code == 201
    assert "setting pool" in lab.http.post(DEVICES, json=ORDER).json()["errors"][0]


def test_an_address_is_free_again_when_its_machine_is_gone(make_lab):
    lab = make_lab(pool={"first": "10.213.77.101", "last": "10.213.77.101"})
    for _number in range(3):
        made = lab.http.post(DEVICES, json=ORDER)
        assert made.status_code == 201
        lab.http.delete(f"/devices/{made.json()['id']}")
        lab.pass_time(3)
