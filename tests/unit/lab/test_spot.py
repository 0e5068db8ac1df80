# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spot market requests: what is sold, what is refused, what the market takes back."""

from __future__ import annotations

import pytest

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
REQUESTS = f"/metal/v1/projects/{PROJECT}/spot-market-requests"
CONTROL = {"X-Lab-Token": "lab-control"}


def test_a_new_request_has_the_shape_that_production_sent(lab):
    made = lab.request_spot(metro="AM", max_bid_price=0.456)
    assert made["devices"] == []
    assert made["facilities"] == []
    assert made["metro"]["code"] == "am"
    assert set(made["plan"]) == {"href"}
    assert made["project"] == {"href": f"/metal/v1/projects/{PROJECT}"}
    assert (made["devices_min"], made["devices_max"], made["max_bid_price"]) == (1, 2, 0.46)
    assert made["end_at"] is None


def test_devices_come_up_to_the_maximum_and_become_active(lab):
    made = lab.request_spot()
    lab.pass_time(2)
    assert {device["state"] for device in lab.devices()} <= {"queued", "provisioning"}
    lab.pass_time(10)
    found = lab.devices()
    assert [device["state"] for device in found] == ["active", "active"]
    assert {device["hostname"] for device in found} == {"hydra-builder"}
    assert len({device["id"] for device in found}) == 2
    assert all(device["device_type"] == "spot_instance" and device["spot_price_max"] == 1.0 for device in found)
    (href, _second) = lab.http.get(f"/metal/v1/spot-market-requests/{made['id']}").json()["devices"]
    assert set(href) == {"href"}


def test_include_expands_devices_and_plan_in_lists_too(lab):
    made = lab.request_spot()
    lab.pass_time(10)
    one = lab.http.get(f"/metal/v1/spot-market-requests/{made['id']}?include=devices").json()
    assert all(device["short_id"] == device["id"][:8] for device in one["devices"])
    (listed,) = lab.http.get(f"{REQUESTS}?include=devices,project,plan").json()["spot_market_requests"]
    assert listed["plan"]["slug"] == "c3.medium.x86"
    assert listed["project"]["id"] == PROJECT
    assert len(listed["devices"]) == 2


def test_a_request_by_facility_code_lists_facility_hrefs(lab):
    body = lab.bid(facilities=["am6"])
    del body["metro"]
    made = lab.http.post(REQUESTS, json=body)
    assert made.status_code == 201
    assert [set(facility) for facility in made.json()["facilities"]] == [{"href"}]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"metro": "xx"}, "metro 'xx' could not be found"),
        ({"max_bid_price": 0}, "max_bid_price must be greater than 0"),
        ({"max_bid_price": -1}, "max_bid_price must be greater than 0"),
        ({"max_bid_price": "much"}, "max_bid_price is not a number"),
        ({"max_bid_price": True}, "max_bid_price is not a number"),
        ({"max_bid_price": None}, "max_bid_price can't be blank"),
        ({"devices_min": 0}, "devices_min must be greater than or equal to 1"),
        ({"devices_min": 3}, "devices_max must be greater than or equal to devices_min"),
        ({"devices_max": "2"}, "devices_max is not a number"),
        ({"end_at": "2001-01-01T00:00:00Z"}, "end_at must be in the future"),
        ({"end_at": "tomorrow"}, "end_at is not a valid date"),
        ({"instance_parameters": {"plan": "c9.huge"}}, "instance_parameters.plan 'c9.huge' is not a valid plan"),
        ({"instance_parameters": {"plan": "c3.large.arm64"}}, "is not available on the spot market of metro am"),
        ({"instance_parameters": {"hostname": "a_b"}}, "instance_parameters.hostname is not a valid hostname"),
        ({"instance_parameters": {"ipxe_script_url": None}}, "ipxe_script_url can't be blank when operating_system"),
        ({"instance_parameters": {"ipxe_script_url": 'http://x/"\n'}}, "ipxe_script_url is not a valid URL"),
        ({"instance_parameters": {"ssh_keys": True}}, "instance_parameters.ssh_keys must be a list of objects"),
        ({"instance_parameters": {"operating_system": "beos"}}, "'beos' is not a valid operating system"),
    ],
)
def test_bad_orders_are_422_name_the_field_and_make_nothing(lab, changes, complaint):
    answer = lab.http.post(REQUESTS, json=lab.bid(**changes))
    assert answer.status_code == 422
    assert any(complaint in text for text in answer.json()["errors"]), answer.text
    assert lab.http.get(REQUESTS).json() == {"spot_market_requests": []}


def test_a_bid_below_the_price_stays_unfilled_until_the_price_falls(lab):
    made = lab.request_spot(max_bid_price=0.1)
    lab.pass_time(60)
    assert lab.devices() == []
    lab.http.post("/lab/prices", json={"plan": "c3.medium.x86", "metro": "am", "price": 0.05}, headers=CONTROL)
    lab.pass_time(2)
    assert len(lab.devices()) == made["devices_max"]


def test_nothing_is_made_when_the_minimum_cannot_be_reached(lab):
    lab.http.post("/lab/capacity", json={"plan": "c3.medium.x86", "metro": "am", "count": 2}, headers=CONTROL)
    lab.request_spot(devices_min=3, devices_max=4)
    lab.pass_time(10)
    assert lab.devices() == []


def test_partial_fulfilment_between_minimum_and_maximum(lab):
    lab.http.post("/lab/capacity", json={"plan": "c3.medium.x86", "metro": "am", "count": 2}, headers=CONTROL)
    lab.request_spot(devices_min=1, devices_max=4)
    lab.pass_time(10)
    assert len(lab.devices()) == 2


def test_an_outbid_machine_gets_two_minutes_and_its_metadata_says_so(lab):
    device = lab.active_device()
    now = lab.cloud.clock.now()
    lab.http.post("/lab/prices", json={"plan": "c3.medium.x86", "metro": "am", "price": 5}, headers=CONTROL)
    (warned,) = lab.devices(has_termination_time="true")
    assert warned["state"] == "active"
    told = lab.http.get("/metadata", headers=CONTROL | {"X-Lab-Device": device["id"]}).json()
    assert told["spot"]["termination_time"] == warned["termination_time"]
    lab.pass_time(115)
    assert lab.devices()[0]["state"] == "active"
    lab.pass_time(10)
    assert lab.cloud.clock.now() == now + 125
    assert lab.http.get(f"/devices/{device['id']}").status_code == 404


def test_a_lost_machine_is_replaced_while_the_request_lives(lab):
    device = lab.active_device()
    assert lab.http.delete(f"/metal/v1/devices/{device['id']}").status_code == 204
    lab.pass_time(20)
    (other,) = lab.devices()
    assert other["id"] != device["id"]
    assert other["state"] == "active"


def test_a_request_ends_with_its_machines_at_end_at(lab):
    lab.request_spot(end_at="2023-11-14T22:23:20Z")  # 600 seconds after the clock's start
    lab.pass_time(590)
    assert len(lab.devices()) == 2
    lab.pass_time(20)
    assert lab.devices() == []
    assert lab.http.get(REQUESTS).json() == {"spot_market_requests": []}


@pytest.mark.parametrize("way", ["query", "body", "not at all"])
def test_deleting_a_request_ends_its_machines_only_by_force(lab, way):
    made = lab.request_spot()
    lab.pass_time(10)
    url = f"/metal/v1/spot-market-requests/{made['id']}"
    if way == "query":
        answer = lab.http.delete(url, params={"force_termination": "true"})
    else:
        answer = lab.http.request("DELETE", url, json={"force_termination": way == "body"})
    assert answer.status_code == 204
    assert lab.http.get(url).status_code == 404
    lab.pass_time(10)
    assert len(lab.devices()) == (2 if way == "not at all" else 0)


def test_hostnames_take_an_index_and_a_list(lab):
    lab.request_spot(instance_parameters={"hostname": "node-{{index}}"})
    lab.request_spot(instance_parameters={"hostnames": ["first"], "hostname": "rest"})
    lab.pass_time(3)
    assert sorted(device["hostname"] for device in lab.devices()) == ["first", "node-0", "node-1", "rest"]


def test_prices_are_open_maps_by_metro_and_by_facility(lab):
    by_metro = lab.http.get("/metal/v1/market/spot/prices/metros").json()["spot_market_prices"]
    assert by_metro["da"]["m3.large.x86"] == {"price": 1.05}
    assert "c3.large.arm64" not in by_metro["am"]
    query = {"plan": "m3.large.x86", "facility": "da11"}
    by_facility = lab.http.get("/metal/v1/market/spot/prices", params=query).json()
    assert by_facility == {"spot_market_prices": {"da11": {"m3.large.x86": {"price": 1.05}}}}
    assert lab.http.get("/market/spot/prices/metros?metro=xx").status_code == 422


def test_prices_drift_by_the_seed_and_history_tells_the_same_numbers(make_lab):
    lab = make_lab(market={"seed": 7, "amplitude": 0.3, "interval": 60})
    now = lab.cloud.clock.now()
    seen = []
    for _number in range(5):
        seen.append(lab.cloud.market.price("c3.medium.x86", "am"))
        lab.pass_time(60)
    assert len(set(seen)) > 1
    assert all(0.45 * 0.7 - 0.01 <= price <= 0.45 * 1.3 + 0.01 for price in seen)
    query = {"facility": "am6", "plan": "c3.medium.x86", "from": now, "until": now + 240}
    points = lab.http.get("/market/spot/prices/history", params=query).json()["prices_history"]["datapoints"]
    assert [price for price, _time in points] == seen
