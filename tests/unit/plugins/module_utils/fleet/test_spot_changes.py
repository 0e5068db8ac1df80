# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a launch changes, ends, passes over and leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import bids_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.pauses import (
    PauseRule,
    find_pauses,
    parse_reclaims,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.plan_file import (
    differences,
    has_changes,
    parse_document,
    plan_document,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_bid_plan import Options
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_plan import spot_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_table import plan_lines
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse

CHANNELS = [{"name": "lab-x86_64-linux", "base_url": "http://10.213.77.11/"}]
SMALL, LARGE = "c3.small.x86", "m3.large.x86"
PAUSE = {"plan": SMALL, "metro": "am", "until": "2026-03-01T12:00:00Z", "reclaims": 3}


def offer(metro: str, plan: str = SMALL, price: float | None = 0.2, demand: float | None = 0.3) -> dict[str, Any]:
    prices = {"spot_price_usd_per_hour": price, "on_demand_price_usd_per_hour": demand}
    return {"plan": plan, "metro": metro, "currency": "USD", **prices}


def request(**changes: Any) -> dict[str, Any]:
    base = {"id": "r1", "name": "small", "plan": SMALL, "metro": "am", "max_bid_usd_per_hour": 0.35, "count": 2}
    return {**base, "device_ids": ["d1"], "ours": True, **changes}


def machine(device: str, **changes: Any) -> dict[str, Any]:
    base = {"id": device, "name": "small", "plan": SMALL, "metro": "am", "kind": "on_demand", "max_usd_per_hour": None}
    return {**base, "state": "active", "tags": [], "ours": True, **changes}


def plan_of(
    bids: list[Any],
    offers: list[Any],
    live: Any = (),
    machines: Any = (),
    ceiling: Any = 10,
    **options: Any,
) -> dict[str, Any]:
    answer = {"offers": offers, "unknown_plans": [], "unknown_metros": [], "kinds": ["spot", "on_demand"]}
    listed = {"requests": list(live), **({} if machines is None else {"machines": list(machines)})}
    assert contract_problems(listed, "provider-verbs", "list_result") == []
    assert bids_problems(bids, CHANNELS, "lab", ceiling) == []
    plan = spot_plan(bids, {"equinix_metal": {"offers": answer, "list": listed}}, CHANNELS, ceiling, Options(**options))
    for wanted in plan["requests"]:
        question = {"fleet": "lab", "bid": wanted["bid"], "wait": False, "wait_timeout": 60}
        assert contract_problems(question, "provider-verbs", "create_request") == []
    return plan


def bought(plan: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(wanted["bid"]["name"], wanted["bid"]["plan"], wanted["bid"]["metro"]) for wanted in plan["requests"]]


def test_grades_are_requests_of_their_own_and_count_towards_the_ceiling(bid: Any) -> None:
    graded = bid(grades=[{"count": 1, "max_bid_usd_per_hour": 0.6}, {"count": 3, "max_bid_usd_per_hour": 0.2}])
    plan = plan_of([graded], [offer("am")])
    assert [
        (item["bid"]["name"], item["bid"]["count"], item["bid"]["max_bid_usd_per_hour"]) for item in plan["requests"]
    ] == [
        ("small", 2, 0.35),
        ("small-2", 1, 0.6),
        ("small-3", 3, 0.2),
    ]
    assert {item["bid"]["hostname"] for item in plan["requests"]} == {plan["requests"][0]["bid"]["hostname"]}
    assert plan["cost_usd_per_hour"] == 1.9
    assert any("more than spot_fleet_ceiling" in problem for problem in bids_problems([graded], CHANNELS, "lab", 1.89))
    clash = bids_problems([graded, bid(name="small-2")], CHANNELS, "lab", 10)
    assert clash == ["bid 'small-2': name is used by more than one bid"]


@pytest.mark.parametrize(
    ("offers", "pauses", "place"),
    [
        ([offer("am"), offer("da"), offer("am", LARGE)], [], (SMALL, "am")),
        ([offer("am", price=0.4), offer("da")], [], (SMALL, "da")),
        ([offer("am", price=0.4), offer("da", price=0.4), offer("da", LARGE)], [], (LARGE, "da")),
        ([offer("am", LARGE)], [], (LARGE, "am")),
        ([offer("am", price=0.4), offer("da", LARGE, price=0.5)], [], (SMALL, "am")),
        ([offer("am", price=0.35), offer("da")], [], (SMALL, "am")),
        ([offer("am", price=None), offer("da")], [], (SMALL, "am")),
        ([offer("am"), offer("da")], [PAUSE], (SMALL, "da")),
        ([offer("am"), offer("am", LARGE)], [PAUSE], (LARGE, "am")),
    ],
    ids=[
        "first",
        "cheaper-metro",
        "fallback-plan",
        "only-fallback",
        "all-too-dear",
        "at-the-bid",
        "no-price",
        "paused",
        "paused-plan",
    ],
)
def test_the_first_place_that_can_be_had_at_the_price_is_taken(bid: Any, offers: Any, pauses: Any, place: Any) -> None:
    plan = plan_of([bid(fallback_plans=[LARGE.upper()])], offers, pauses=tuple(pauses))
    assert bought(plan) == [("small", *place)]
    notes = plan["bids"][0]["notes"]
    assert (f"in the place of {SMALL}" in notes) == (
        place[0] == LARGE and any(item["plan"] == SMALL for item in offers)
    )
    assert any(
        "is paused until 2026-03-01T12:00:00Z: 3 machines were reclaimed there" in note for note in notes
    ) == bool(pauses)


def test_where_everything_is_paused_nothing_is_bought_and_it_is_no_failure(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am")], pauses=(PAUSE,))
    assert (plan["problems"], plan["pause"], plan["requests"]) == ([], ["small"], [])
    text = " ".join(plan_lines(plan))
    assert "small: nothing is bought; c3.small.x86 in am is paused until" in text
    assert text.endswith("Nothing to do.")


def test_a_pause_does_not_touch_what_is_live(bid: Any) -> None:
    assert plan_of([bid()], [offer("am")], [request()], pauses=(PAUSE,))["keep"] == ["small"]


def test_a_fallback_plan_that_runs_is_kept(bid: Any) -> None:
    plan = plan_of([bid(fallback_plans=[LARGE])], [offer("am"), offer("am", LARGE)], [request(plan=LARGE)])
    assert plan["keep"] == ["small"]
    assert bought(plan) == [("small", LARGE, "am")]


def test_a_changed_bid_ends_its_request_first_and_costs_no_more_than_the_new_one(bid: Any) -> None:
    live = [request(count=5, device_ids=["d2", "d1"])]
    plan = plan_of([bid()], [offer("am")], live, ceiling=0.7, replace=True)
    assert (plan["problems"], plan["change"], plan["create"]) == ([], ["small"], [])
    assert plan["ends"] == [
        {
            "provider": "equinix_metal",
            "request_id": "r1",
            "name": "small",
            "device_ids": ["d1", "d2"],
            "reason": "its bid has changed",
        }
    ]
    assert has_changes(plan)
    assert "count is 5, declared 2" in " ".join(plan_lines(plan))


@pytest.mark.parametrize("offers", [[], [offer("am")]], ids=["nowhere", "paused"])
def test_a_request_is_not_ended_for_one_that_cannot_be_made(bid: Any, offers: Any) -> None:
    plan = plan_of([bid()], offers, [request(count=5)], replace=True, pauses=(PAUSE,))
    assert plan["ends"] == []
    assert plan["requests"] == []
    assert len(plan["problems"]) == 1


def test_what_no_bid_declares_is_ended_only_when_that_is_asked_for(bid: Any) -> None:
    old = [request(), request(id="r9", name="old", device_ids=["d9"]), request(id="r8", name=None, device_ids=[])]
    stranger = request(id="f0", name=None, ours=False, count=None, max_bid_usd_per_hour=None, device_ids=["f1"])
    assert plan_of([bid()], [offer("am")], [*old, stranger])["ends"] == []
    plan = plan_of([bid()], [offer("am")], [*old, stranger], ceiling=0.7, end_undeclared=True)
    assert [end["request_id"] for end in plan["ends"]] == ["r9", "r8"]
    assert plan["problems"] == []
    assert [item["id"] for item in plan["foreign"]] == ["f0"]


def test_single_machines_are_counted_bought_and_kept_by_the_same_list(bid: Any) -> None:
    own = bid(kind="on_demand")
    none = plan_of([own], [offer("am"), offer("da")])
    assert none["requests"][0]["bid"]["single"] is True
    assert bought(none) == [("small", SMALL, "am")]
    one = plan_of([own], [offer("am")], machines=[machine("d1")])
    assert (one["create"], one["bids"][0]["device_ids"]) == (["small"], ["d1"])
    assert one["bids"][0]["notes"] == ["1 of 2 machines lack"]
    two = plan_of([own], [offer("am")], machines=[machine("d1"), machine("d2")])
    assert (two["keep"], has_changes(two)) == (["small"], False)
    assert two["cost_now_usd_per_hour"] == 0.6
    three = plan_of([own], [offer("am")], machines=[machine(f"d{n}", max_usd_per_hour=0.3) for n in range(3)])
    assert three["bids"][0]["notes"] == ["1 machine more than declared: drain and terminate what shall go"]
    assert three["undeclared_usd_per_hour"] == 0.3
    assert three["ends"] == []


def test_machines_on_demand_beyond_the_count_are_within_the_ceiling_too(bid: Any) -> None:
    """Of machines on demand the provider tells no price, and that must not make them free."""
    own = bid(kind="on_demand")
    more = [machine(f"d{number}") for number in range(4)]
    assert plan_of([own], [offer("am")], machines=more, ceiling=1.4)["undeclared_usd_per_hour"] == 0.7
    assert "small) 0.70 USD" in plan_of([own], [offer("am")], machines=more, ceiling=1.39)["problems"][0]
    reserved = [machine("d1", max_usd_per_hour=0), machine("d2", max_usd_per_hour=0)]
    leaving = plan_of([own], [offer("am")], machines=reserved, leaving=frozenset({"d1", "d2"}), ceiling=0.7)
    assert leaving["problems"] == []


def test_nothing_is_bought_beside_a_machine_of_unknown_cost(bid: Any) -> None:
    old = machine("d-old", name="old", metro="ny")
    words = "it is not known what d-old may cost"
    assert words in plan_of([bid()], [offer("am")], machines=[old])["problems"][0]
    assert words in plan_of([bid()], [offer("am")], [request(count=1)], [old], replace=True)["problems"][0]
    for harmless in (
        plan_of([bid()], [offer("am")], [request()], [old]),
        plan_of([bid()], [offer("am")], machines=[old], end_undeclared=True),
        plan_of([bid()], [offer("am")], machines=[{**old, "tags": ["nixmetal-usd-per-hour=1.5"]}]),
        plan_of([bid()], [offer("am"), offer("ny", demand=1.5)], machines=[old]),
    ):
        assert harmless["problems"] == []
    priced = plan_of([bid()], [offer("am"), offer("ny", demand=1.5)], machines=[old], ceiling=2.19)
    assert "(old) 1.5 USD per hour" in priced["problems"][0]


def test_a_machine_of_a_live_request_is_no_single_one_whatever_its_name(bid: Any) -> None:
    """It costs what its request does, and is not ended beside it: a renamed bid leaves the old name on the machines."""
    old = request(id="r9", name=None, count=1, device_ids=["d9"])
    its = machine("d9", name="older", kind="spot")
    plan = plan_of([bid()], [offer("am")], [old], [its], end_undeclared=True)
    assert [(end["request_id"], end["device_ids"]) for end in plan["ends"]] == [("r9", ["d9"])]
    assert plan["undeclared_machines"] == []


def test_what_lacks_is_bought_where_the_others_are(bid: Any) -> None:
    """The provider refuses it elsewhere, and by then other bids have been ended and bought."""
    own = bid(kind="on_demand", fallback_plans=[LARGE])
    everywhere = [offer("am"), offer("da"), offer("da", LARGE)]
    for place in ({"metro": "da"}, {"metro": "da", "plan": LARGE}):
        plan = plan_of([own], everywhere, machines=[machine("d1", **place)])
        assert bought(plan) == [("small", place.get("plan", SMALL), "da")]
        assert plan["bids"][0]["metros"] == own["metros"]
    elsewhere = plan_of([own], [offer("am")], machines=[machine("d1", metro="da")])
    assert elsewhere["problems"] == ["bid 'small': none of its metros (da) offers the plan c3.small.x86"]
    assert elsewhere["requests"] == []
    strange = plan_of([own], [*everywhere, offer("ny")], machines=[machine("d1", metro="ny")])
    assert strange["problems"] == ["bid 'small' has machines in ny, declared am, da: terminate them first"]
    unknown = plan_of([own], everywhere, machines=[machine("d1", metro=None)])
    assert "has machines in None" in unknown["problems"][0]
    apart = plan_of([own], everywhere, machines=[machine("d1"), machine("d2", metro="da")])
    assert "in several places (c3.small.x86 in am, c3.small.x86 in da): terminate" in apart["problems"][0]


def test_a_machine_of_another_kind_is_none_of_the_bids(bid: Any) -> None:
    """The verb create does not count it either: under "keep" it would buy what was never shown."""
    left = [machine("d1", kind="spot", max_usd_per_hour=0.3), machine("d2", kind="spot", max_usd_per_hour=0.3)]
    plan = plan_of([bid(kind="on_demand")], [offer("am")], machines=left)
    assert (plan["create"], plan["keep"]) == (["small"], [])
    assert [item["id"] for item in plan["undeclared_machines"]] == ["d1", "d2"]
    assert plan["undeclared_usd_per_hour"] == 0.6
    ended = plan_of([bid(kind="on_demand")], [offer("am")], machines=left, end_undeclared=True)
    assert [end["device_ids"] for end in ended["ends"]] == [["d1"], ["d2"]]


@pytest.mark.parametrize(
    ("offers", "machines", "words"),
    [
        ([offer("am", demand=0.36)], [], "costs 0.36 USD per hour on demand, more than max_bid_usd_per_hour (0.35)"),
        ([offer("am", demand=None)], [], "none of its metros (am, da) offers the plan"),
        ([offer("am")], None, "does not tell which machines there are, so none is bought"),
        (
            [offer("am")],
            [machine("d1", plan=LARGE)],
            "has machines of m3.large.x86, declared c3.small.x86: terminate them first",
        ),
    ],
)
def test_single_machines_that_are_not_bought(bid: Any, offers: Any, machines: Any, words: str) -> None:
    plan = plan_of([bid(kind="on_demand")], offers, machines=machines)
    assert words in plan["problems"][0]
    assert plan["requests"] == []


def test_of_single_machines_only_the_fleets_own_undeclared_ones_end(bid: Any) -> None:
    machines = [
        machine("d1", kind="spot"),
        machine("d-late", kind="spot"),
        machine("d-old", name="old", max_usd_per_hour=0.5),
        machine("d-scaled", name="auto", tags=["nixmetal-autoscale=x.y", "nixmetal-usd-per-hour=0.25"]),
        machine("d-going", name="old", state="deprovisioning"),
        machine("f1", name="old", ours=False),
    ]
    plan = plan_of([bid()], [offer("am")], [request()], machines, end_undeclared=True)
    assert [end["device_ids"] for end in plan["ends"]] == [["d-old"]]
    assert plan["undeclared_usd_per_hour"] == 0.25
    assert [item["id"] for item in plan["foreign_machines"]] == ["f1"]
    left = plan_of([bid()], [offer("am")], [request()], machines)
    assert left["ends"] == []
    assert left["undeclared_usd_per_hour"] == 0.75
    lines = " ".join(plan_lines(left))
    assert "old: single machine d-old, at most 0.50 USD per hour" in lines
    assert "foreign machines, never touched: f1" in lines
    assert plan_of([bid()], [offer("am")], [request()], machines, ceiling=1.44)["problems"]
    assert not plan_of([bid()], [offer("am")], [request()], machines, ceiling=1.45)["problems"]


def test_cost_now_is_the_markets_price_of_what_runs(bid: Any) -> None:
    assert plan_of([bid()], [offer("am", price=0.2)], [request(device_ids=["a", "b"])])["cost_now_usd_per_hour"] == 0.4
    assert plan_of([bid()], [offer("am", price=0.9)], [request(device_ids=["a", "b"])])["cost_now_usd_per_hour"] == 0.7
    assert plan_of([bid()], [offer("am", price=None)], [request()])["cost_now_usd_per_hour"] is None
    assert plan_of([bid()], [offer("am", price=None)])["cost_now_usd_per_hour"] == 0


def test_a_document_is_the_same_as_long_as_the_same_would_be_done(bid: Any) -> None:
    then = plan_document(plan_of([bid()], [offer("am")], [request(device_ids=[])]), "lab")
    filled = plan_document(plan_of([bid()], [offer("am", price=0.3)], [request()]), "lab")
    assert differences(then, filled) == []
    assert then["changes"] is False
    ending = plan_of([bid()], [offer("am")], [request(), request(id="r9", name="old")], end_undeclared=True)
    assert plan_document(ending, "lab")["changes"] is True
    moved = plan_document(plan_of([bid(count=3)], [offer("da")], ceiling=9), "lab")
    assert moved["changes"] is True
    words = differences(then, moved)
    assert "ceiling_usd_per_hour: planned 10.0, now 9.0" in words
    assert 'kept small: planned "r1", now nothing' in words
    assert "requests small bid count: planned 2, now 3" in words
    assert 'requests small bid metro: planned "am", now "da"' in words
    other = plan_document(plan_of([bid(), bid(name="more")], [offer("am")], [request()]), "lab")
    assert any(text.startswith("requests more: planned nothing, now {") for text in differences(then, other))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 2}'])
def test_what_is_no_plan_is_not_applied(text: str) -> None:
    with pytest.raises(FleetError, match="make it anew"):
        parse_document(text)


def reclaim(at: str, device: str, metro: str = "am", plan: str = SMALL) -> dict[str, str]:
    return {"at": f"2026-03-01T{at}:00Z", "device_id": device, "plan": plan, "metro": metro}


RULE = PauseRule(3, 3600, 7200)


@pytest.mark.parametrize(
    ("reclaims", "now", "until"),
    [
        ([reclaim("10:00", "a"), reclaim("10:30", "b"), reclaim("11:00", "c")], "12:59", "2026-03-01T13:00:00Z"),
        ([reclaim("10:00", "a"), reclaim("10:30", "b"), reclaim("11:00", "c")], "13:00", None),
        ([reclaim("10:00", "a"), reclaim("10:30", "b"), reclaim("11:01", "c")], "11:30", None),
        ([reclaim("10:00", "a"), reclaim("10:01", "a"), reclaim("10:02", "a")], "10:30", None),
        ([reclaim("10:00", "a"), reclaim("10:01", "b", "da"), reclaim("10:02", "c")], "10:30", None),
        ([reclaim("10:00", "a"), reclaim("10:01", "b", plan=LARGE), reclaim("10:02", "c")], "10:30", None),
        (
            [
                reclaim("08:00", "x"),
                reclaim("11:00", "c"),
                reclaim("10:30", "b"),
                reclaim("10:00", "a"),
                reclaim("10:50", "d"),
            ],
            "11:30",
            "2026-03-01T13:00:00Z",
        ),
        ([], "10:00", None),
    ],
    ids=["paused", "over", "too-slow", "one-machine", "two-metros", "two-plans", "any-order", "none"],
)
def test_a_place_is_paused_after_so_many_reclaims(reclaims: Any, now: str, until: str | None) -> None:
    moment = parse(f"2026-03-01T{now}:00Z")
    assert moment is not None
    found = find_pauses(reclaims, RULE, moment)
    assert [pause.until for pause in found] == ([until] if until else [])
    assert find_pauses(reclaims, RULE._replace(reclaims=0), moment) == []


def test_remembered_reclaims_are_read_but_for_lines_that_were_cut_short() -> None:
    good = '{"at": "2026-03-01T10:00:00Z", "device_id": "a", "plan": "p", "metro": "am"}\n'
    assert len(parse_reclaims(good + good)) == 2
    assert len(parse_reclaims(good + '{"at": "2026\n' + good + '{"at')) == 2
    assert parse_reclaims("") == []
    for bad in ("{}\n" + good, good + "[]\n", good.replace('"am"', "1")):
        with pytest.raises(FleetError, match=r"line [12] of the remembered reclaims"):
            parse_reclaims(bad)


def test_a_single_machine_that_goes_is_replaced_within_the_ceiling(bid: Any) -> None:
    own = bid(name="own", kind="on_demand")
    machines = [machine("d1", name="own"), machine("d2", name="own")]
    options = {"leaving": frozenset({"d2"}), "singles_only": True}
    plan = plan_of([bid(), own], [offer("am")], machines=machines, ceiling=1.75, **options)
    # The one that goes is told by its id: it may be gone by the time that is bought, and one too many must not be.
    (wanted,) = [item["bid"] for item in plan["requests"]]
    assert (wanted["name"], wanted["count"], wanted["leaving"]) == ("own", 2, ["d2"])
    assert plan["problems"] == []
    refused = plan_of([bid(), own], [offer("am")], machines=machines, ceiling=1.74, **options)
    assert "more than spot_fleet_ceiling_usd_per_hour" in refused["problems"][0]
    alone = plan_of([own], [offer("am")], machines=machines, leaving=frozenset({"d1", "d2"}))
    assert (alone["requests"][0]["bid"]["count"], alone["requests"][0]["bid"]["leaving"]) == (2, ["d1", "d2"])


@pytest.mark.parametrize("live", [[], [request(count=7)], [request(), request(id="r2")]])
def test_requests_are_left_alone_where_only_single_machines_are_asked_for(bid: Any, live: Any) -> None:
    plan = plan_of([bid()], [offer("am")], live, singles_only=True)
    assert (plan["requests"], plan["ends"], plan["problems"]) == ([], [], [])
