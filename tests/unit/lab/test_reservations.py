# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reserved servers: ordered by id or as the next one, each by one device, and what goes wrong with them."""

from __future__ import annotations

import pytest

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
DEVICES = f"/metal/v1/projects/{PROJECT}/devices"
RESERVATIONS = f"/metal/v1/projects/{PROJECT}/hardware-reservations"
CONTROL = {"X-Lab-Token": "lab-control"}
PLAN = "c3.medium.x86"
CONFIGURED = [{"plan": PLAN, "metro": "da", "count": 2}, {"plan": PLAN, "metro": "am", "spare": True}]


@pytest.fixture
def reserved_lab(make_lab):
    return make_lab(reservations=CONFIGURED, plans=[{"slug": PLAN, "on_demand_price": 1.5, "capacity": 0}])


def order(lab, **changes):
    body = {"plan": PLAN, "operating_system": "debian_12", "metro": ["am", "da"], **changes}
    return lab.http.post(DEVICES, json={"hardware_reservation_id": "next-available", **body})


def reservations(lab, **query):
    answer = lab.http.get(RESERVATIONS, params={"include": "device", **query}).json()
    assert answer["meta"]["total"] == len(answer["hardware_reservations"])
    return answer["hardware_reservations"]


def test_the_next_available_is_used_once_and_freed_by_the_end(reserved_lab):
    made = [order(reserved_lab) for _number in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    # No capacity on demand is needed, and none is used.
    assert order(reserved_lab, hardware_reservation_id=None).status_code == 422
    used = {answer.json()["hardware_reservation"]["href"].rpartition("/")[2] for answer in made}
    assert used == {item["id"] for item in reservations(reserved_lab, state="active")}
    refused = order(reserved_lab)
    assert (refused.status_code, "no available hardware reservation" in refused.text) == (422, True)
    reserved_lab.pass_time(20)
    device = reserved_lab.devices(type="reserved")[0]
    assert (device["state"], device["metro"]["code"]) == ("active", "da")
    assert reserved_lab.devices(type="ondemand") == []
    assert reserved_lab.http.delete(f"/devices/{device['id']}").status_code == 204
    reserved_lab.pass_time(20)
    assert order(reserved_lab).status_code == 201


def test_one_is_ordered_by_its_id(reserved_lab):
    chosen = reservations(reserved_lab, provisionable="only")[1]
    assert reserved_lab.http.get(f"/hardware-reservations/{chosen['id']}").json()["provisionable"] is True
    made = order(reserved_lab, hardware_reservation_id=chosen["id"].upper()).json()
    (seen,) = reservations(reserved_lab, state="active")
    assert (seen["id"], seen["device"]["id"]) == (chosen["id"], made["id"])
    again = order(reserved_lab, hardware_reservation_id=chosen["id"])
    assert (again.status_code, "is not provisionable" in again.text) == (422, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hardware_reservation_id": "00000000-0000-4000-8000-000000000000"}, "could not be found"),
        ({"metro": "am"}, "no available hardware reservation"),
        ({"spot_instance": True, "spot_price_max": 9}, "can't be given with spot_instance"),
        ({"hardware_reservation_id": 5}, "must be a string"),
    ],
)
def test_what_is_not_there_is_refused(reserved_lab, changes, words):
    answer = order(reserved_lab, **changes)
    assert (answer.status_code, words in answer.text) == (422, True), answer.text


def test_a_named_one_must_be_of_the_plan_and_metro(make_lab):
    lab = make_lab(reservations=CONFIGURED)
    chosen = reservations(lab, provisionable="only")[0]["id"]
    for change, word in ({"plan": "c3.small.x86"}, "plan"), ({"metro": "am"}, "metro"):
        answer = order(lab, hardware_reservation_id=chosen, **change)
        assert (answer.status_code, f"of another {word}" in answer.text) == (422, True)


def test_one_in_need_of_service_cannot_be_ordered(reserved_lab):
    first, second = (item["id"] for item in reservations(reserved_lab, provisionable="only"))
    reserved_lab.http.put(f"/lab/reservations/{first}", json={"need_of_service": True}, headers=CONTROL)
    assert [item["id"] for item in reservations(reserved_lab, state="need_of_service")] == [first]
    assert order(reserved_lab, hardware_reservation_id=first).status_code == 422
    assert order(reserved_lab).json()["hardware_reservation"]["href"].endswith(second)


def test_a_broken_one_looks_well_and_never_comes_up(reserved_lab):
    chosen = reservations(reserved_lab, provisionable="only")[0]["id"]
    reserved_lab.http.put(f"/lab/reservations/{chosen}", json={"broken": True}, headers=CONTROL)
    made = order(reserved_lab, hardware_reservation_id=chosen)
    assert made.status_code == 201
    reserved_lab.pass_time(20)
    assert [device["state"] for device in reserved_lab.devices()] == ["failed"]
    assert reserved_lab.event_types(made.json()["id"])[0] == "provisioning.failed"


def test_reservations_outlive_a_restart(make_lab):
    lab = make_lab(reservations=CONFIGURED)
    added = lab.http.post("/lab/reservations", json={"plan": PLAN, "metro": "DA"}, headers=CONTROL).json()["id"]
    order(lab)
    before = reservations(lab, per_page=50)
    lab.cloud.store.commit()
    after = reservations(make_lab(reservations=CONFIGURED), per_page=50)
    assert after == before
    assert added in {item["id"] for item in after}
    assert len(after) == 4


def test_force_ends_what_is_provisioning_and_not_what_is_locked(make_lab):
    lab = make_lab(delete_while_provisioning=False)
    device = lab.http.post(DEVICES, json={"plan": PLAN, "operating_system": "debian_12", "metro": "am", "locked": True})
    path = f"/devices/{device.json()['id']}"
    assert lab.http.delete(path, params={"force_delete": "true"}).status_code == 422
    lab.http.put(path, json={"locked": False})
    assert lab.http.delete(path).status_code == 422
    # As packngo sends it.
    assert lab.http.request("DELETE", path, json={"force_delete": True}).status_code == 204


@pytest.mark.parametrize(("options", "wipes"), [({}, 1), ({"preserve_data": True}, 0), ({"deprovision_fast": True}, 0)])
def test_a_reinstallation_wipes_the_disks_unless_told_otherwise(lab, options, wipes):
    device = lab.active_device()
    body = {"type": "reinstall", **options}
    assert lab.http.post(f"/devices/{device['id']}/actions", json=body).status_code == 202
    assert lab.cloud.store.devices[device["id"]].wipes == wipes
