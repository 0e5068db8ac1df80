# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State survives a restart, and a crash between two answers."""

from __future__ import annotations

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
CONTROL = {"X-Lab-Token": "lab-control"}


def test_a_successor_finds_everything_that_was_answered(make_lab):
    first = make_lab()
    first.http.post("/metal/v1/ssh-keys", json={"label": "me", "key": "ssh-ed25519 AAAA"})
    first.http.post("/lab/prices", json={"plan": "c3.small.x86", "metro": "am", "price": 0.11}, headers=CONTROL)
    device = first.active_device()
    first.http.put(f"/devices/{device['id']}", json={"tags": ["kept"]})
    made = first.request_spot(max_bid_price=0.02)
    # No orderly end: the successor reads what is on disk.
    second = make_lab()
    again = second.http.get(f"/devices/{device['id']}").json()
    assert again == first.http.get(f"/devices/{device['id']}").json()
    assert again["tags"] == ["kept"]
    assert second.event_types(device["id"]) == first.event_types(device["id"])
    requests = second.http.get(f"/projects/{PROJECT}/spot-market-requests").json()["spot_market_requests"]
    assert requests[0]["id"] == made["id"]
    assert second.http.get("/ssh-keys").json()["ssh_keys"][0]["label"] == "me"
    prices = second.http.get("/market/spot/prices/metros?metro=am").json()["spot_market_prices"]
    assert prices["am"]["c3.small.x86"] == {"price": 0.11}


def test_a_machine_in_the_middle_of_its_boot_finishes_it(make_lab):
    first = make_lab(timing={"boot": 10})
    first.request_spot(devices_max=1)
    first.pass_time(5)
    assert first.devices()[0]["state"] == "provisioning"
    second = make_lab(timing={"boot": 10})
    second.pass_time(20)
    assert [device["state"] for device in second.devices()] == ["active"]


def test_deleted_means_deleted(make_lab):
    first = make_lab()
    made = first.request_spot()
    first.pass_time(10)
    first.http.delete(f"/spot-market-requests/{made['id']}?force_termination=true")
    first.pass_time(10)
    second = make_lab()
    assert second.devices() == []
    assert second.http.get(f"/projects/{PROJECT}/events").json()["events"] == []


def test_addresses_of_the_past_are_not_given_twice(make_lab):
    make_lab().active_device()
    second = make_lab()
    second.request_spot()
    second.pass_time(10)
    addresses = [device["ip_addresses"][0]["address"] for device in second.devices()]
    assert len(addresses) == len(set(addresses)) == 3
