# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a launch would do, and what stands in its way."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_plan import spot_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_table import plan_lines, summary_lines

CHANNELS = [{"name": "lab-x86_64-linux", "base_url": "http://10.213.77.11/"}]


def offer(metro: str, plan: str = "c3.small.x86", price: float | None = 0.2) -> dict[str, Any]:
    prices = {"spot_price_usd_per_hour": price, "on_demand_price_usd_per_hour": 1.5}
    return {"plan": plan, "metro": metro, "currency": "USD", **prices}


def request(**changes: Any) -> dict[str, Any]:
    base = {
        "id": "r1",
        "name": "small",
        "plan": "c3.small.x86",
        "metro": "am",
        "max_bid_usd_per_hour": 0.35,
        "count": 2,
    }
    return {**base, "device_ids": ["d1"], "ours": True, **changes}


def plan_of(
    bids: list[Any], offers: list[Any], live: list[Any] | None = None, ceiling: Any = 10, **unknown: Any
) -> dict[str, Any]:
    answer = {"offers": offers, "unknown_plans": [], "unknown_metros": [], "kinds": ["spot"], **unknown}
    provider = {"offers": answer, "list": {"requests": live or []}}
    assert contract_problems(answer, "provider-verbs", "offers_result") == []
    assert contract_problems(provider["list"], "provider-verbs", "list_result") == []
    return spot_plan(bids, {"equinix_metal": provider}, CHANNELS, ceiling)


def test_first_metro_that_offers_the_plan_is_used(bid: Any) -> None:
    plan = plan_of([bid(metros=["AM", "da"])], [offer("da"), offer("am", plan="m3.large.x86")])
    assert plan["problems"] == []
    assert plan["create"] == ["small"]
    assert plan["requests"][0]["bid"]["metro"] == "da"
    assert plan["requests"][0]["bid"]["boot_url"] == "http://10.213.77.11/lab-x86_64-linux/netboot.ipxe"


def test_request_fits_the_providers_contract(bid: Any) -> None:
    least = {name: value for name, value in bid().items() if name not in ("tags", "kind", "hostname")}
    plan = plan_of([least], [offer("am")])
    question = {"fleet": "lab", "bid": plan["requests"][0]["bid"], "wait": False, "wait_timeout": 60}
    assert contract_problems(question, "provider-verbs", "create_request") == []
    assert question["bid"]["hostname"] == "small"


def test_cost_per_hour_and_month(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am")])
    assert (plan["cost_usd_per_hour"], plan["cost_usd_per_month"]) == (0.7, 511.0)


def test_live_request_is_kept_where_it_is(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am"), offer("da")], [request(metro="da")])
    assert (plan["create"], plan["keep"]) == ([], ["small"])
    assert plan["requests"][0]["bid"]["metro"] == "da"


def test_live_request_is_kept_when_nothing_is_offered_any_more(bid: Any) -> None:
    assert plan_of([bid()], [], [request()])["keep"] == ["small"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 1}, "count is 1, declared 2"),
        ({"max_bid_usd_per_hour": 0.3}, "max bid is 0.3, declared 0.35"),
        ({"plan": "m3.large.x86"}, "plan is m3.large.x86, declared c3.small.x86"),
        ({"metro": "ny"}, "metro is ny, declared am, da"),
    ],
)
def test_live_request_that_differs_stops_everything(bid: Any, change: dict[str, Any], words: str) -> None:
    plan = plan_of([bid()], [offer("am")], [request(**change)])
    assert words in plan["problems"][0]
    assert (plan["create"], plan["keep"], plan["requests"]) == ([], [], [])


def test_two_live_requests_of_one_bid_stop_everything(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am")], [request(), request(id="r2")])
    assert plan["problems"] == ["bid 'small' has 2 live requests (r1, r2): end all but one of them, then launch again"]


def test_foreign_request_of_the_same_name_is_not_ours(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am")], [request(ours=False)])
    assert plan["create"] == ["small"]
    assert [item["id"] for item in plan["foreign"]] == ["r1"]


def test_unknown_plan_and_metro_name_the_bid(bid: Any) -> None:
    plan = plan_of([bid(metros=["am", "ZZ"])], [], unknown_plans=["c3.small.x86"], unknown_metros=["zz"])
    assert plan["problems"] == [
        "bid 'small': plan 'c3.small.x86' is not known to equinix_metal",
        "bid 'small': metro 'zz' is not known to equinix_metal",
    ]


def test_kind_that_the_provider_does_not_sell(bid: Any) -> None:
    plan = plan_of([bid(), bid(name="own", kind="reserved")], [offer("am")])
    assert plan["problems"] == ["bid 'own': equinix_metal sells spot, not reserved"]


def test_plan_offered_nowhere(bid: Any) -> None:
    plan = plan_of([bid()], [offer("ny")])
    assert plan["problems"] == ["bid 'small': none of its metros (am, da) offers the plan c3.small.x86"]


def test_live_request_that_no_bid_declares_counts_towards_the_ceiling(bid: Any) -> None:
    old = request(id="r9", name="old", count=10)
    assert plan_of([bid()], [offer("am")], [old], ceiling=4.2)["problems"] == []
    plan = plan_of([bid()], [offer("am")], [old], ceiling=4.19)
    assert "may cost 0.70 and live requests that are no longer declared (old) 3.50 USD per hour" in plan["problems"][0]


def test_renaming_a_bid_does_not_pass_the_ceiling(bid: Any) -> None:
    """A request without machines has lost its name with its bid; it is the fleet's all the same."""
    old = request(id="r9", name=None, count=4, device_ids=[])
    plan = plan_of([bid(name="renamed")], [offer("am")], [old], ceiling=2)
    assert (
        "no longer declared (r9) 1.40 USD per hour, more than spot_fleet_ceiling_usd_per_hour (2)"
        in plan["problems"][0]
    )
    allowed = plan_of([bid(name="renamed")], [offer("am")], [old], ceiling=2.1)
    assert allowed["problems"] == []
    assert [item["bid"]["name"] for item in allowed["requests"]] == ["renamed"]
    assert any(line.startswith("r9: no longer declared") for line in plan_lines(allowed))


def test_foreign_request_of_which_nothing_is_told_stops_nothing(bid: Any) -> None:
    stranger = request(id="f0", name=None, ours=False, count=None, max_bid_usd_per_hour=None)
    assert plan_of([bid()], [offer("am")], [stranger])["problems"] == []


def test_plan_in_upper_case_is_the_one_that_is_offered(bid: Any) -> None:
    plan = plan_of([bid(plan="C3.small.x86")], [offer("am")])
    assert plan["problems"] == []
    assert plan["requests"][0]["bid"]["plan"] == "c3.small.x86"
    assert plan_of([bid(plan="C3.small.x86")], [], [request(plan="C3.SMALL.x86")])["keep"] == ["small"]


def test_foreign_request_does_not_count_towards_the_ceiling(bid: Any) -> None:
    assert (
        plan_of([bid()], [offer("am")], [request(id="r9", name=None, ours=False, count=1000)], ceiling=1)["problems"]
        == []
    )


def test_market_above_the_bid_is_said_and_bought_all_the_same(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am", price=0.36)])
    assert plan["bids"][0]["notes"] == ["the market is above the bid: no machine until the price falls"]
    assert plan["create"] == ["small"]


def test_table_fits_a_terminal(bid: Any) -> None:
    long = bid(
        name="a-name-that-is-far-too-long-for-it",
        metros=["am", "da", "ny", "sv"],
        count=20,
        max_bid_usd_per_hour=12.34,
    )
    live = [
        request(id="5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01"),
        request(id="0b" * 18, ours=False),
        request(id="r9", name=None),
    ]
    plan = plan_of([bid(), long], [offer("am", price=None)], live, ceiling=10**6)
    lines = plan_lines(plan)
    assert max(map(len, lines)) <= 72
    assert any(
        line.split() == ["a-name-tha~", "c3.small.x86", "am,da~", "20", "12.34", "-", "246.80", "180164.00"]
        for line in lines
    )
    text = " ".join(line.strip() for line in lines)
    assert "At most 247.50 USD per hour, 180675.00 USD per month" in text
    assert "small: keep request 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01 in am (1 machines)" in text
    assert "foreign requests, never touched: 0b0b" in text
    assert "r9: no longer declared, but live (request r9, at most 0.70 USD per hour)" in text


def test_summary_tells_requests_machines_and_cost(bid: Any) -> None:
    plan = plan_of([bid()], [offer("am")])
    made = {"request_id": "r1", "device_ids": ["d1"], "changed": True, "bid": plan["requests"][0]["bid"]}
    assert summary_lines(plan, [made], False) == [
        "small: request r1 in am, 1 of 2 machines",
        "  machine d1",
        "The fleet costs at most 0.70 USD per hour (ceiling 10.00).",
    ]
    planned = {**made, "request_id": None, "device_ids": []}
    assert summary_lines(plan, [planned], True) == [
        "small: would request 2 machines in am",
        "The fleet would cost at most 0.70 USD per hour (ceiling 10.00).",
    ]
