# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single machines: bought once, found again, changed where that is possible, and ended only when they are the fleet's own."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_tasks, errors
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer, Failure

DECLARED: dict[str, Any] = {
    **{name: spec.get("default") for name, spec in DEVICE_OPTIONS.items()},
    "fleet": "lab",
    "name": "steady",
    "plan": "c3.small.x86",
    "metros": ["am", "da"],
    "ipxe_script_url": "http://web.test/netboot.ipxe",
    "tags": ["hydra"],
    "hostname": "builder",
}


@pytest.fixture
def apply(api):
    def run(check_mode: bool = False, **options: Any) -> dict[str, Any]:
        return device_tasks.apply(api.client(), {**DECLARED, **options}, check_mode)

    return run


def orders(api: Any) -> list[Any]:
    return [call for call in api.posts() if call.path.endswith("/devices")]


def test_check_make_again_change_remove(apply, api) -> None:
    planned = apply(check_mode=True, count=2)
    assert (planned["changed"], planned["device_ids"], api.live()) == (True, [], [])
    assert [device["id"] for device in planned["devices"]] == [None, None]
    made = apply(count=2, wait=True)
    assert (made["changed"], len(made["device_ids"])) == (True, 2)
    assert {device["state"] for device in made["devices"]} == {"active"}
    assert {device["metro"] for device in made["devices"]} == {"am"}
    again = apply(count=2)
    assert (again["changed"], again["device_ids"]) == (False, made["device_ids"])
    assert again["diff"]["before"] == again["diff"]["after"]
    told = apply(count=2, hostname="other", check_mode=True)
    assert (told["changed"], told["updated"]) == (True, sorted(made["device_ids"]))
    assert told["diff"]["after"]["devices"][made["device_ids"][0]] == {"hostname": "other"}
    changed = apply(count=2, hostname="other", tags=["hydra", "more"])
    assert {device["hostname"] for device in changed["devices"]} == {"other"}
    assert apply(count=2, hostname="other", tags=["more"])["changed"] is False
    assert apply(state="absent", check_mode=True)["ended"] == made["device_ids"]
    assert apply(state="absent", wait=True)["ended"] == made["device_ids"]
    assert apply(state="absent")["changed"] is False
    assert not api.cloud.store.devices


def test_the_machines_of_a_request_are_not_those_of_the_name(apply, api) -> None:
    body = {
        "devices_min": 1,
        "devices_max": 1,
        "max_bid_price": 1,
        "metro": "am",
        "instance_parameters": {
            "plan": "c3.small.x86",
            "operating_system": "debian_12",
            "tags": ["nixmetal-fleet=lab", "nixmetal-bid=steady"],
        },
    }
    assert api.http.post(f"/projects/{api.client().settings.project_id}/spot-market-requests", json=body).is_success
    api.sleep(10)
    (theirs,) = api.live()
    assert apply()["device_ids"] != [theirs.id]
    apply(state="absent")
    assert [device.id for device in api.live()] == [theirs.id]
    assert apply(state="absent", name=None, device_id=theirs.id)["ended"] == [theirs.id]


@pytest.mark.parametrize("outcome", [Failure("reset", sent=True), Answer(502, b"", {}), Answer(201, b"<html>", {})])
def test_a_lost_answer_is_found_by_the_tag_of_the_purchase(apply, api, outcome) -> None:
    def spoil(call: Any) -> Any:
        if call.method == "POST" and len(orders(api)) == 1:
            api.reach(call)
            return outcome
        return None

    api.spoil = spoil
    made = apply()
    assert len(orders(api)) == 1
    assert made["device_ids"] == [device.id for device in api.live()]
    assert apply()["changed"] is False


def test_a_purchase_that_does_not_show_is_not_sent_again(apply, api) -> None:
    api.spoil = lambda call: Answer(500, b"", {}) if call.method == "POST" else None
    with pytest.raises(errors.ApiError, match=r"Nothing was sent again.*not be bought twice"):
        apply(count=3)
    assert len(orders(api)) == 1


def test_what_was_bought_before_an_error_is_named(apply, api) -> None:
    api.spoil = lambda call: Answer(422, b'{"errors": ["no servers"]}', {}) if len(orders(api)) == 2 else None
    with pytest.raises(errors.MetalError, match=r"no servers.*Bought before this, live, and costing money: ") as caught:
        apply(count=3)
    (first,) = api.live()
    assert first.id in str(caught.value)


def test_of_two_controllers_the_newer_purchase_is_withdrawn(apply, api) -> None:
    """Neither sees the other's purchase before its own, and both fall into one second of the API's."""
    other = {}

    def spoil(call: Any) -> Any:
        if call.method == "POST" and not other:
            other["started"] = True
            other["made"] = apply()
        return None

    api.spoil = spoil
    outer = apply()
    assert (other["made"]["withdrawn"], len(outer["withdrawn"])) == ([], 1)
    assert outer["device_ids"] == other["made"]["device_ids"] == [device.id for device in api.live()]
    assert "Another controller was first" in outer["warnings"][0]


def test_surplus_is_told_and_ended_only_on_request(apply, api) -> None:
    ids = apply(count=3)["device_ids"]
    kept = apply(count=1)
    assert (kept["changed"], kept["surplus"], len(api.live())) == (False, ids[1:], 3)
    assert "2 machines more than count=1" in kept["warnings"][0]
    assert apply(count=1, surplus="end")["ended"] == ids[1:]
    assert [device.id for device in api.live()] == ids[:1]


def test_a_foreign_machine_is_not_ended(apply, api) -> None:
    (theirs,) = apply(fleet="other")["device_ids"]
    with pytest.raises(errors.Refused, match="not proved to belong to the fleet lab"):
        apply(state="absent", name=None, device_id=theirs)
    assert len(api.live()) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": "c3.medium.x86"}, "plan is c3.small.x86 and should be c3.medium.x86"),
        ({"metros": ["da"]}, "metro is am and should be da"),
        (
            {"operating_system": "debian_12", "ipxe_script_url": None},
            "operating_system is custom_ipxe and should be debian_12",
        ),
        ({"spot_price_max": 1.0}, "kind is on_demand and should be spot"),
    ],
)
def test_what_cannot_be_changed_is_refused(apply, change, words) -> None:
    apply()
    with pytest.raises(errors.Refused, match=words):
        apply(**change)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cost_ceiling_usd_per_hour": 1.0, "count": 2}, "may cost 1.50 USD per hour"),
        ({"spot_price_max": 0.8, "cost_ceiling_usd_per_hour": 1.0, "count": 2}, "may cost 1.60 USD per hour"),
        ({"spot_price_max": 0.333}, "spot_price_max must be in whole cents"),
        ({"plan": "c3.smal.x86", "cost_ceiling_usd_per_hour": 9}, "Near it are: c3.small.x86"),
        ({"metros": ["zz"], "cost_ceiling_usd_per_hour": 9}, "no metro 'zz'"),
        ({"metros": []}, "metros must name"),
        ({"tags": ["nixmetal-order=1"]}, "is set by this module itself"),
        ({"hostname": "a_b"}, "no underscore"),
        ({"termination_time": "soon"}, "termination_time is not"),
        ({"hardware_reservation_id": "x", "count": 2}, "names one reserved server"),
        ({"hardware_reservation_id": "x", "spot_price_max": 1.0}, "either of the spot market"),
        ({"ipxe_script_url": None}, "ipxe_script_url is needed"),
        ({"operating_system": "debian_12"}, "operating system is debian_12 and not custom_ipxe"),
        ({"userdata": "#!iPXE\nboot"}, "userdata is an iPXE script, and ipxe_script_url is given as well"),
        ({"state": "absent", "name": None}, "either the name of the machines or one device_id"),
        ({"state": "absent", "name": None, "device_id": "../x"}, "device_id is not the id"),
    ],
)
def test_mistakes_buy_nothing(apply, api, options, words) -> None:
    with pytest.raises(errors.MetalError, match=words):
        apply(**options)
    assert orders(api) == []


def test_a_single_machine_of_the_spot_market(apply, api) -> None:
    made = apply(spot_price_max=0.5)
    assert (made["devices"][0]["spot"], made["devices"][0]["spot_price_max"], made["max_cost_usd_per_hour"]) == (
        True,
        0.5,
        0.5,
    )
    assert apply(spot_price_max=0.5)["changed"] is False


def test_locked_machines_are_not_ended(apply, api) -> None:
    (device_id,) = apply(locked=True)["device_ids"]
    with pytest.raises(errors.Refused, match=f"locked against being ended: {device_id}"):
        apply(state="absent")
    assert apply(locked=False)["updated"] == [device_id]
    assert apply(state="absent")["ended"] == [device_id]


def test_user_data_are_changed_and_not_shown(apply) -> None:
    apply(userdata="#!ipxe one hush", ipxe_script_url=None)
    told = apply(userdata="#!ipxe two hush", ipxe_script_url=None)
    assert told["updated"]
    assert "hush" not in str(told)


def test_a_failed_machine_ends_the_wait_at_once(apply, api) -> None:
    (device_id,) = apply()["device_ids"]
    api.cloud.machines.failed(device_id, "no boot")
    with pytest.raises(errors.MetalError, match=f"failed to provision {device_id}"):
        apply(wait=True)


def test_an_update_whose_answer_is_lost_is_looked_for(apply, api) -> None:
    apply()

    def spoil(call: Any) -> Any:
        if call.method == "PUT":
            api.reach(call)
            return Failure("reset", sent=True)
        return None

    api.spoil = spoil
    assert apply(hostname="other")["devices"][0]["hostname"] == "other"
    api.spoil = lambda call: Failure("reset", sent=True) if call.method == "PUT" else None
    with pytest.raises(errors.MetalError, match="does not show the change"):
        apply(hostname="third")


@pytest.mark.parametrize("body", [b"{}", b'{"id": "x", "state": "active", "tags": []}'])
def test_a_senseless_answer_takes_no_tag_away(apply, api, body) -> None:
    (device_id,) = apply()["device_ids"]
    api.spoil = lambda call: Answer(200, body, {}) if call.path == f"/devices/{device_id}" else None
    with pytest.raises(errors.BadAnswer):
        apply()
    assert [call.method for call in api.calls if call.method == "PUT"] == []


def test_a_changed_limit_of_the_spot_price_is_refused(apply, api) -> None:
    apply(spot_price_max=2.0)
    with pytest.raises(errors.Refused, match=r"spot_price_max is 2.0 and should be 0.5"):
        apply(spot_price_max=0.5, count=2, cost_ceiling_usd_per_hour=1.5)
    assert len(api.live()) == 1


def test_what_live_machines_cost_is_counted_by_their_own_limits(apply) -> None:
    apply(spot_price_max=0.5, count=3)
    assert apply(spot_price_max=0.5, cost_ceiling_usd_per_hour=9)["max_cost_usd_per_hour"] == 1.5
    ended = apply(spot_price_max=0.5, cost_ceiling_usd_per_hour=9, surplus="end", check_mode=True)
    assert ended["max_cost_usd_per_hour"] == 0.5


def test_a_ceiling_that_is_a_product_allows_what_it_is_the_product_of(apply) -> None:
    """3 * 0.35 is 1.0499999999999998."""
    bought = apply(spot_price_max=0.35, count=3, cost_ceiling_usd_per_hour=3 * 0.35)
    assert (len(bought["device_ids"]), bought["max_cost_usd_per_hour"]) == (3, 1.05)


def test_machines_that_leave_do_not_count_whether_they_are_there_or_not(apply, api) -> None:
    leaving, staying = apply(count=2)["device_ids"]
    replaced = apply(count=2, leaving=[leaving], cost_ceiling_usd_per_hour=1.5)
    assert (len(api.live()), len(replaced["device_ids"])) == (3, 2)
    assert replaced["device_ids"][0] == staying
    apply(state="absent", name=None, device_id=leaving)
    again = apply(count=2, leaving=[leaving], metros=["am"])
    assert (again["changed"], again["device_ids"]) == (False, replaced["device_ids"])


def test_a_machine_that_leaves_may_be_another_than_declared(apply) -> None:
    (leaving,) = apply()["device_ids"]
    assert apply(metros=["da"], leaving=[leaving])["changed"] is True


def test_a_limit_that_is_not_known_is_not_counted_as_nothing(apply, api) -> None:
    apply(spot_price_max=0.5)
    for device in api.live():
        device.spot_price_max = None
    with pytest.raises(errors.Refused, match=r"price of .* in am, da is not known"):
        apply(spot_price_max=0.5, count=2, cost_ceiling_usd_per_hour=9)
    assert len(api.live()) == 1


def test_a_drain_that_began_after_the_reading_is_not_lifted(apply, api) -> None:
    (device_id,) = apply()["device_ids"]
    device = api.cloud.store.devices[device_id]

    def drain(call: Any) -> None:
        """Someone drains the machine between the module's first reading of it and its first change."""
        if call.method == "PUT" and "skip-hydra" not in device.tags:
            device.tags = [*device.tags, "skip-hydra"]

    api.spoil = drain
    apply(tags=["hydra", "more"], hostname="other")
    assert {"skip-hydra", "more"} <= set(device.tags)
    assert (device.hostname, len([call for call in api.calls if call.method == "PUT"])) == ("other", 2)


def test_a_locked_purchase_that_came_second_is_withdrawn(apply, api) -> None:
    other = {}

    def spoil(call: Any) -> Any:
        if call.method == "POST" and not other:
            other["started"] = True
            other["made"] = apply(locked=True)
        return None

    api.spoil = spoil
    outer = apply(locked=True)
    assert len(outer["withdrawn"]) == 1
    assert outer["device_ids"] == other["made"]["device_ids"] == [device.id for device in api.live()]
    assert api.live()[0].locked is True


def test_a_list_that_lags_behind_loses_no_purchase(apply, api) -> None:
    def spoil(call: Any) -> Any:
        if call.method == "GET" and call.path.endswith("/devices") and orders(api):
            return Answer(200, b'{"devices": [], "meta": {"total": 0, "next": null}}', {})
        return None

    api.spoil = spoil
    made = apply(count=2)
    assert sorted(made["device_ids"]) == sorted(device.id for device in api.live())
    assert [device["id"] for device in made["devices"]] == made["device_ids"]


@pytest.mark.parametrize("wait", [False, True])
def test_an_error_after_the_purchase_names_what_was_bought(apply, api, wait) -> None:
    def spoil(call: Any) -> Any:
        listing = call.method == "GET" and call.path.endswith("/devices")
        if orders(api) and listing is not wait and call.method == "GET":
            return Answer(403, b"", {})
        return None

    api.spoil = spoil
    with pytest.raises(errors.MetalError, match="Bought before this, live, and costing money: ") as caught:
        apply(count=2, wait=wait)
    assert len(api.live()) == 2
    assert all(device.id in str(caught.value) for device in api.live())


@pytest.mark.parametrize("project", [b'"/metal/v1/projects/11111111-2222-4333-8444-555555555555"', b"null"])
def test_a_machine_of_another_project_is_left_alone(apply, api, project) -> None:
    (device_id,) = apply()["device_ids"]

    def spoil(call: Any) -> Any:
        if call.method != "GET" or call.path != f"/devices/{device_id}":
            return None
        seen = api.reach(call)
        ours = f'{{"href":"/metal/v1/projects/{api.client().settings.project_id}"}}'.encode()
        assert ours in seen.body
        return Answer(200, seen.body.replace(ours, project), {})

    api.spoil = spoil
    with pytest.raises(errors.Refused, match=r"(of no known project|of the project 11111111).*left alone"):
        apply(state="absent", name=None, device_id=device_id)
    assert len(api.live()) == 1


def test_check_mode_refuses_what_a_lock_prevents(apply, api) -> None:
    ids = apply(count=2, locked=True)["device_ids"]
    for options in ({"state": "absent"}, {"count": 1, "surplus": "end", "locked": True}):
        with pytest.raises(errors.Refused, match="locked against being ended"):
            apply(check_mode=True, **options)
    assert apply(state="absent", force_delete=True, check_mode=True)["ended"] == ids
    assert len(api.live()) == 2
    assert apply(state="absent", force_delete=True)["ended"] == ids
    assert api.live() == []


def reservations(api: Any) -> list[Any]:
    return [api.cloud.reservations.add("c3.small.x86", metro) for metro in ("da", "am")]


def test_reserved_machines_by_next_available_end_to_end(apply, api) -> None:
    first, second = reservations(api)
    api.cloud.store.set_fact("capacity", {"c3.small.x86/am": 0, "c3.small.x86/da": 0})
    options = {"hardware_reservation_id": "next-available", "count": 2, "cost_ceiling_usd_per_hour": 0.01}
    planned = apply(check_mode=True, **options)
    assert (planned["max_cost_usd_per_hour"], api.live()) == (0.0, [])
    made = apply(wait=True, **options)
    assert [device["metro"] for device in made["devices"]].count("am") == 1
    assert {device["reservation_id"] for device in made["devices"]} == {first.id, second.id}
    assert apply(**options)["changed"] is False
    with pytest.raises(errors.ApiError, match="no available hardware reservation"):
        apply(**{**options, "count": 3})
    assert len(api.live()) == 2
    with pytest.raises(errors.Refused, match="kind is reserved and should be on_demand"):
        apply(count=2)
    apply(state="absent", wait=True)
    assert all(api.cloud.reservations.provisionable(item) for item in (first, second))


def test_a_reserved_machine_by_its_id(apply, api) -> None:
    first, second = reservations(api)
    (device,) = apply(hardware_reservation_id=first.id.upper(), wait=True)["devices"]
    assert (device["reservation_id"], device["metro"]) == (first.id, "da")
    assert apply(hardware_reservation_id=first.id)["changed"] is False
    with pytest.raises(errors.Refused, match=f"hardware_reservation_id is {first.id} and should be {second.id}"):
        apply(hardware_reservation_id=second.id)
    with pytest.raises(errors.ApiError, match="is not provisionable"):
        apply(name="other", hardware_reservation_id=first.id)
    assert len(api.live()) == 1


def test_a_broken_reserved_server_is_told(apply, api) -> None:
    first, _second = reservations(api)
    api.cloud.reservations.change(first, broken=True)
    with pytest.raises(errors.MetalError, match=r"failed to provision .*Bought before this, live"):
        apply(hardware_reservation_id=first.id, wait=True)
    api.cloud.reservations.change(first, need_of_service=True)
    with pytest.raises(errors.ApiError, match="is not provisionable"):
        apply(name="other", hardware_reservation_id=first.id)


def test_a_standing_rate_limit_is_waited_out(apply, api) -> None:
    from metal_lab.core.settings import LimitSettings

    api.http.app.state.lab.limits.set(LimitSettings(calls=3, window=20))
    started = api.cloud.clock.now()
    made = apply(count=2)
    assert len(made["device_ids"]) == len(api.live()) == 2
    assert len(orders(api)) >= 2
    assert api.cloud.clock.now() - started >= 20
