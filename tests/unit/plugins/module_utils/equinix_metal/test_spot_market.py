# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exactly one live request for a bid: found again, never bought twice, never another's."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import errors, spot_tasks
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import SPOT_REQUEST_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_create import SETTLING_SECONDS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer, Call, Failure

BID: dict[str, Any] = {
    **{name: spec.get("default") for name, spec in SPOT_REQUEST_OPTIONS.items()},
    "fleet": "lab",
    "name": "small",
    "plan": "c3.small.x86",
    "metro": "am",
    "max_bid_price": 0.35,
    "devices_max": 2,
    "ipxe_script_url": "http://web.test/netboot.ipxe",
    "tags": ["hydra"],
}
OURS = ["nixmetal-fleet=lab", "nixmetal-bid=small"]
REPLACE = {"change": "create_first", "terminate_devices": True}


@pytest.fixture
def market(in_memory):
    return in_memory.Market()


@pytest.fixture
def apply(client_of, market):
    def run(transport: Any = None, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        return spot_tasks.apply(client_of(transport or market), {**BID, **options}, check_mode)

    return run


class Once:
    """Spoils the first purchase in a given way and passes everything else on."""

    def __init__(self, market: Any, outcome: Answer | Failure, took_effect: bool) -> None:
        self.market, self.outcome, self.took_effect = market, outcome, took_effect
        self.posts = 0

    def send(self, call: Call) -> Answer | Failure:
        if call.method != "POST":
            return self.market.send(call)
        self.posts += 1
        if self.posts > 1:
            return self.market.send(call)
        if self.took_effect:
            self.market.send(call)
        return self.outcome


def test_check_make_again_change_remove(apply, market) -> None:
    planned = apply(check_mode=True)
    assert (planned["changed"], planned["request"]["id"], market.created) == (True, None, [])
    made = apply()
    assert (made["changed"], made["request"]["id"], made["request"]["ours"]) == (True, "r0001", True)
    assert made["diff"]["before"] == {"requests": []}
    assert made["diff"]["after"]["requests"][0]["plan"] == "c3.small.x86"
    again = apply()
    assert (again["changed"], again["request"]["id"], again["diff"]["before"]) == (
        False,
        "r0001",
        again["diff"]["after"],
    )
    changed = apply(metro="da", **REPLACE)
    assert (changed["changed"], changed["request"]["metro"], changed["ended"]) == (True, "da", ["r0001"])
    assert apply(state="absent", check_mode=True)["ended"] == ["r0002"]
    assert list(market.requests) == ["r0002"]
    assert apply(state="absent")["changed"] is True
    assert apply(state="absent")["changed"] is False
    assert market.requests == {}


def test_the_planned_request_is_the_one_that_is_made(apply) -> None:
    planned, made = apply(check_mode=True)["request"], apply()["request"]
    unknown = ("id", "created_at")
    assert {k: v for k, v in planned.items() if k not in unknown} == {k: v for k, v in made.items() if k not in unknown}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_after_the_purchase_is_not_bought_again(apply, market, status: int) -> None:
    assert apply(Once(market, Answer(status, b"", {}), took_effect=True))["request"]["id"] == "r0001"
    assert market.created == ["r0001"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"id": "r0'])
def test_a_senseless_answer_after_the_purchase_is_not_bought_again(apply, market, body: bytes) -> None:
    assert apply(Once(market, Answer(201, body, {}), took_effect=True))["request"]["id"] == "r0001"
    assert market.created == ["r0001"]


def test_a_lost_answer_is_looked_for(apply, market) -> None:
    assert apply(Once(market, Failure("reset", sent=True), took_effect=True))["request"]["id"] == "r0001"
    assert market.created == ["r0001"]


@pytest.mark.parametrize(
    "outcome", [Failure("reset", sent=True), Answer(201, b"", {}), *(Answer(n, b"", {}) for n in (500, 502, 503, 504))]
)
def test_a_purchase_that_may_still_happen_stops_with_an_explanation(apply, market, sleeper, outcome) -> None:
    once = Once(market, outcome, took_effect=False)
    with pytest.raises(errors.ApiError, match="not be bought twice") as caught:
        apply(once)
    assert once.posts == 1
    assert "Nothing was sent again" in str(caught.value)
    assert sleeper.now >= 15
    assert market.created == []


@pytest.mark.parametrize("lag", [2, 5, 60])
@pytest.mark.parametrize("outcome", [Answer(500, b"", {}), Answer(503, b"", {}), Failure("reset", sent=True)])
def test_a_list_that_lags_behind_is_no_reason_to_buy_again(apply, market, sleeper, in_memory, lag, outcome) -> None:
    once = Once(market, outcome, took_effect=True)

    class Lagging:
        def send(self, call: Call) -> Any:
            if call.path == in_memory.REQUESTS and call.method == "GET" and sleeper.now < lag:
                return Answer(200, b'{"spot_market_requests": []}', {})
            return once.send(call)

    if lag > 15:
        with pytest.raises(errors.ApiError, match="Nothing was sent again"):
            apply(Lagging())
    else:
        assert apply(Lagging())["request"]["id"] == "r0001"
    assert (once.posts, market.created) == (1, ["r0001"])


def test_two_new_requests_after_a_lost_answer_are_named_and_left(apply, market) -> None:
    class Doubled:
        def send(self, call: Call) -> Any:
            if call.method != "POST":
                return market.send(call)
            market.create(call.body)
            market.create(call.body)
            return Failure("reset", sent=True)

    with pytest.raises(errors.Refused, match="r0001, r0002"):
        apply(Doubled())
    assert list(market.requests) == ["r0001", "r0002"]
    assert apply()["ended"] == ["r0002"]


def test_a_refused_purchase_is_told_in_the_apis_words(apply, market) -> None:
    refusal = Answer(422, b'{"errors": ["metro is full"]}', {})
    with pytest.raises(errors.ApiError, match="metro is full"):
        apply(Once(market, refusal, took_effect=False))


@pytest.mark.parametrize(
    ("field", "value"), [("plan", "c3.medium.x86"), ("metro", "da"), ("max_bid_price", 0.4), ("devices_max", 3)]
)
def test_a_changed_bid_is_refused_with_the_difference(apply, market, field: str, value: Any) -> None:
    apply()
    for check_mode in (True, False):
        with pytest.raises(errors.Refused, match=f"{field} is .* and should be {value}"):
            apply(check_mode=check_mode, **{field: value})
    assert market.created == ["r0001"]


@pytest.mark.parametrize("change", ["create_first", "end_first"])
def test_a_changed_bid_is_replaced_in_the_wanted_order(apply, market, change: str) -> None:
    market.machines = True
    apply()
    order: list[str] = []

    class Watching:
        def send(self, call: Call) -> Any:
            order.append(call.method)
            return market.send(call)

    result = apply(Watching(), max_bid_price=0.5, change=change, terminate_devices=True)
    assert [method for method in order if method != "GET"] == (
        ["POST", "DELETE"] if change == "create_first" else ["DELETE", "POST"]
    )
    assert result["ended"] == ["r0001"]
    assert sorted(market.devices) == ["r0002-d0", "r0002-d1"]


def test_machines_are_not_left_behind_by_a_change(apply, market) -> None:
    market.machines = True
    apply()
    with pytest.raises(errors.Refused, match="would leave machines"):
        apply(max_bid_price=0.5, change="end_first")
    assert list(market.requests) == ["r0001"]


def test_a_change_that_broke_off_halfway_is_finished(apply, market) -> None:
    apply()
    market.create({**market.bodies[0], "metro": "da"})
    result = apply(metro="da", **REPLACE)
    assert (result["changed"], result["request"]["id"], result["ended"]) == (True, "r0002", ["r0001"])
    assert list(market.requests) == ["r0002"]


def test_absent_without_ending_the_machines_says_what_they_cost(apply, market) -> None:
    market.machines = True
    apply()
    result = apply(state="absent")
    assert "go on to cost money: r0001-d0, r0001-d1" in result["warnings"][0]
    assert sorted(market.devices) == ["r0001-d0", "r0001-d1"]


def foreign(market: Any, tags: list[str], **changes: Any) -> str:
    body = {
        "devices_min": 2,
        "devices_max": 2,
        "max_bid_price": 0.35,
        "metro": "am",
        "end_at": "2031-01-01T00:00:00Z",
        "instance_parameters": {"plan": "c3.small.x86", "tags": tags},
    }
    request_id = str(market.create({**body, **changes})["id"])
    if tags:
        market.fill(request_id, tags)
    return request_id


@pytest.mark.parametrize(
    "tags", [[], ["hydra"], ["nixmetal-fleet=other", "nixmetal-bid=small"], ["nixmetal-fleet=lab"]]
)
def test_a_foreign_request_is_never_touched(apply, market, tags: list[str]) -> None:
    other = foreign(market, tags)
    assert apply(terminate_devices=True)["request"]["id"] != other
    assert apply(state="absent", terminate_devices=True)["ended"] == ["r0002"]
    with pytest.raises(errors.Refused, match="not proved to belong"):
        apply(state="absent", name=None, request_id=other, terminate_devices=True)
    assert list(market.requests) == [other]


def test_machines_prove_a_request_whatever_its_end(apply, market) -> None:
    ours = foreign(market, OURS)
    assert apply()["request"]["id"] == ours
    assert apply()["changed"] is False
    assert apply(state="absent", name=None, request_id=ours, terminate_devices=True)["ended"] == [ours]


@pytest.mark.parametrize("name", ["small", "renamed", None])
def test_an_unfilled_request_is_ended_by_its_id_whatever_its_bid_is_called_now(apply, market, name) -> None:
    apply()
    with pytest.raises(errors.Refused, match="not proved"):
        apply(state="absent", fleet="other", name=None, request_id="r0001")
    assert apply(state="absent", name=name, request_id="r0001")["ended"] == ["r0001"]


def listed(client_of: Any, market: Any, *names: str, fleet: str | None = "lab") -> list[tuple[Any, ...]]:
    found = spot_tasks.inform(client_of(market), {"fleet": fleet, "names": list(names)})["requests"]
    return [(request["ours"], request["name"], request["contradicts"]) for request in found]


def test_a_renamed_bids_request_is_still_the_fleets_own(apply, market, client_of) -> None:
    apply()
    assert listed(client_of, market, "small") == [(True, "small", False)]
    assert listed(client_of, market, "renamed") == [(True, None, False)]
    assert listed(client_of, market, "small", fleet="other") == [(False, None, False)]
    market.fill("r0001", ["nixmetal-fleet=lab"])
    assert listed(client_of, market, "renamed") == [(True, None, False)]


@pytest.mark.parametrize("tags", [["hydra"], [], ["nixmetal-fleet=other", "nixmetal-bid=small"]])
def test_a_mark_that_was_met_by_accident_contradicts_the_machines(apply, market, client_of, tags: list[str]) -> None:
    apply()
    market.fill("r0001", tags)
    assert listed(client_of, market, "renamed") == [(False, None, True)]
    for options in ({}, {"state": "absent"}, {"state": "absent", "request_id": "r0001"}):
        with pytest.raises(errors.Refused, match="cannot be told whose it is"):
            apply(**{"name": "renamed", **options})
    assert list(market.requests) == ["r0001"]


def test_two_bids_with_one_mark_are_refused(market, client_of) -> None:
    with pytest.raises(errors.SettingError, match="b17 and b64 of the fleet lab"):
        listed(client_of, market, "b17", "b18", "b64")
    assert listed(client_of, market, "b17", "b17") == []


@pytest.mark.parametrize("fleet", ["", "A", " "])
def test_a_list_for_no_fleet_is_not_the_whole_projects(market, client_of, fleet: str) -> None:
    with pytest.raises(errors.SettingError, match="fleet must be"):
        listed(client_of, market, fleet=fleet)


def test_what_cannot_be_told_apart_stops(apply, market) -> None:
    apply()
    market.fill("r0001", ["nixmetal-fleet=other", "nixmetal-bid=small"])
    for options in ({}, {"state": "absent"}):
        with pytest.raises(errors.Refused, match="cannot be told whose it is"):
            apply(**options)
    assert list(market.requests) == ["r0001"]


def test_one_machine_without_tags_does_not_change_whose_the_request_is(apply, market) -> None:
    market.machines = True
    apply()
    market.requests["r0001"]["devices"][0]["tags"] = []
    assert apply()["changed"] is False


def test_the_tags_are_looked_up_when_the_list_has_only_links(apply, market, in_memory) -> None:
    ours = foreign(market, OURS)

    class Linked(in_memory.Market):
        def send(self, call: Call) -> Any:
            links = [{"href": f"/metal/v1/devices/{device_id}"} for device_id in market.devices]
            if call.path == in_memory.REQUESTS and call.method == "GET":
                return market.__class__.send(Listed({"spot_market_requests": [{"id": ours, "href": "x"}]}), call)
            if call.path == f"/spot-market-requests/{ours}":
                return market.__class__.send(Listed({**market.requests[ours], "devices": links}), call)
            return market.send(call)

    class Listed:
        def __init__(self, body: Any) -> None:
            self.body = body

        def answer(self, _call: Call) -> tuple[int, Any]:
            return 200, self.body

    assert apply(Linked())["request"]["id"] == ours


LISTED = {"id": "r1", "max_bid_price": 1}


@pytest.mark.parametrize(
    "requests",
    [
        ["r1"],
        [None],
        [{**LISTED, "devices": []}, 7],
        [{**LISTED, "devices": ["d1"]}],
        [{**LISTED, "devices": [{"hostname": "x"}]}],
        [{**LISTED, "devices": {"d1": {}}}],
        [LISTED],
        {"r1": LISTED},
        None,
    ],
)
def test_a_list_of_requests_that_is_not_whole_stops(client_of, in_memory, requests: Any) -> None:
    class Odd(in_memory.Market):
        def answer(self, call: Call) -> tuple[int, Any]:
            assert call.method == "GET"
            return (200, {"spot_market_requests": requests}) if call.path == in_memory.REQUESTS else (200, LISTED)

    for options in (BID, {**BID, "state": "absent"}):
        with pytest.raises(errors.BadAnswer):
            spot_tasks.apply(client_of(Odd()), options, False)


def test_two_controllers_at_once_the_oldest_stays(apply, market) -> None:
    class Overtaken:
        """Another controller buys just before our purchase arrives."""

        def send(self, call: Call) -> Any:
            if call.method == "POST":
                market.create(call.body)
            return market.send(call)

    result = apply(Overtaken())
    assert (result["request"]["id"], result["withdrawn"]) == ("r0001", ["r0002"])
    assert "Another controller" in result["warnings"][0]
    assert list(market.requests) == ["r0001"]


def test_two_controllers_at_once_who_was_first_leaves_the_other_alone(apply, market) -> None:
    class Followed:
        def send(self, call: Call) -> Any:
            outcome = market.send(call)
            if call.method == "POST":
                market.create(call.body)
            return outcome

    assert apply(Followed())["request"]["id"] == "r0001"
    assert list(market.requests) == ["r0001", "r0002"]


def test_a_double_without_machines_is_ended_and_one_with_machines_stops(apply, market) -> None:
    apply()
    market.create(market.bodies[0])
    assert apply()["ended"] == ["r0002"]
    market.create(market.bodies[0])
    market.fill("r0001", OURS)
    market.fill("r0003", OURS)
    with pytest.raises(errors.Refused, match="r0003"):
        apply()
    assert apply(terminate_devices=True)["ended"] == ["r0003"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": "c3.smal.x86"}, "no plan 'c3.smal.x86'. Near it are: c3.small.x86"),
        ({"metro": "zz"}, "no metro 'zz'. There are: am, da"),
    ],
)
def test_an_unknown_plan_or_metro_is_told_before_a_purchase(apply, market, change: dict[str, str], words: str) -> None:
    for check_mode in (True, False):
        with pytest.raises(errors.Refused) as caught:
            apply(check_mode=check_mode, **change)
        assert words in str(caught.value)
    assert market.created == []


def deletes(call: Call) -> bool:
    return call.method == "DELETE"


def test_the_old_request_ends_when_the_new_ones_machines_are_there(apply, market) -> None:
    market.machines = True
    apply(max_bid_price=0.5)
    market.machines = False
    seen = []

    class Slow:
        """The new request's machines come with the third look at it."""

        def send(self, call: Call) -> Any:
            if call.path == "/spot-market-requests/r0002" and call.method == "GET":
                seen.append("look")
                if len(seen) == 3:
                    market.fill("r0002", OURS)
            elif deletes(call):
                seen.append("end")
            return market.send(call)

    result = apply(Slow(), wait=True, **REPLACE)
    assert seen[:4] == ["look", "look", "look", "end"]
    assert (result["ended"], result["fulfilled"]) == (["r0001"], True)


def test_machines_that_do_not_come_leave_the_old_request(apply, market) -> None:
    market.machines = True
    apply(max_bid_price=0.5)
    market.machines = False
    with pytest.raises(
        errors.MetalError, match=r"no machine of the request r0002.*Made before this: r0002\. Not ended: r0001\."
    ):
        apply(wait=True, wait_timeout=30, **REPLACE)
    assert list(market.requests) == ["r0001", "r0002"]
    with pytest.raises(errors.MetalError, match=r"no machine of the request r0002"):
        apply(wait=True, wait_timeout=30, **REPLACE)
    assert list(market.requests) == ["r0001", "r0002"], "a second run ended the machines that work"


@pytest.mark.parametrize(
    ("change", "spoilt", "words"),
    [
        ("create_first", deletes, r"Made before this: r0002\. Not ended: r0001\."),
        ("end_first", lambda call: call.method == "POST", r"Ended before this: r0001\."),
    ],
)
def test_a_replacement_that_fails_half_way_tells_how_far_it_came(
    apply, market, change: str, spoilt: Any, words: str
) -> None:
    apply(max_bid_price=0.5)

    class Breaking:
        def send(self, call: Call) -> Any:
            return Answer(403, b'{"errors": ["No."]}', {}) if spoilt(call) else market.send(call)

    with pytest.raises(errors.MetalError, match=words):
        apply(Breaking(), change=change)


def test_waiting_tells_the_machines(apply, market) -> None:
    market.machines = True
    result = apply(wait=True)
    assert result["fulfilled"] is True
    assert result["device_ids"] == ["r0001-d0", "r0001-d1"]


def test_a_failed_machine_ends_the_wait_at_once(apply, market, sleeper) -> None:
    apply()
    market.fill("r0001", OURS, state="failed")
    with pytest.raises(errors.MetalError, match="failed to provision r0001-d0, r0001-d1"):
        apply(wait=True)
    assert sleeper.slept == [SETTLING_SECONDS]


def test_an_error_while_waiting_names_what_was_bought(apply, market) -> None:
    class Breaking:
        def send(self, call: Call) -> Any:
            if call.path.startswith("/spot-market-requests/"):
                return Answer(403, b'{"errors": ["No."]}', {})
            return market.send(call)

    with pytest.raises(errors.MetalError, match=r"The request r0001 is live and may cost money.*403: No\."):
        apply(Breaking(), wait=True)


def test_partial_fulfilment_is_reported_and_too_little_fails(apply, market) -> None:
    apply(devices_min=1)
    market.fill("r0001", OURS)
    market.requests["r0001"]["devices"][1]["state"] = "provisioning"
    result = apply(wait=True, wait_timeout=60, devices_min=1)
    assert result["fulfilled"] is False
    assert "r0001-d1 (provisioning)" in result["warnings"][0]
    market.requests["r0001"]["devices"][0]["state"] = "queued"
    with pytest.raises(errors.MetalError, match="needs at least 1"):
        apply(wait=True, wait_timeout=60, devices_min=1)


def test_an_unfilled_request_times_out_with_what_was_seen(apply) -> None:
    with pytest.raises(errors.MetalError, match="After 30 seconds no machine of the request r0001"):
        apply(wait=True, wait_timeout=30)


def test_the_list_says_whose_requests_are(apply, market, client_of) -> None:
    apply()
    other = foreign(market, ["hydra"])
    listed = spot_tasks.inform(client_of(market), {"fleet": "lab", "names": ["small"]})["requests"]
    assert [(request["id"], request["ours"], request["name"]) for request in listed] == [
        ("r0001", True, "small"),
        (other, False, None),
    ]
    unnamed = spot_tasks.inform(client_of(market), {"fleet": None, "names": []})["requests"]
    assert [request["ours"] for request in unnamed] == [False, False]


@pytest.mark.parametrize("seed", range(400))
def test_whatever_fails_nothing_is_bought_twice(in_memory, client_of, seed: int) -> None:
    """Runs with faults at every call, crashes and a second controller, until one ends well: one request, and no other was left."""
    market = in_memory.Market(machines=seed % 2 == 1)
    faulty = in_memory.Faulty(market, seed, rate=0.3)
    messages = ["none yet"]
    for _attempt in range(60):
        try:
            result = spot_tasks.apply(client_of(faulty), BID, False)
        except errors.MetalError as error:
            messages.append(str(error))
        except in_memory.Crash:
            pass
        else:
            assert list(market.requests) == [result["request"]["id"]]
            break
        assert len(market.requests) <= 1
    else:
        pytest.fail("never ended well")
    assert len(market.created) == 1
    assert all(messages)
    assert spot_tasks.apply(client_of(market), BID, False)["changed"] is False
