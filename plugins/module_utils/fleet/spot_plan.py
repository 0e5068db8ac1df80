# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a launch would do: the declared bids against what is for sale and what is live already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import (
    HOURS_PER_MONTH,
    boot_url,
    cost_per_hour,
    dollars,
    with_defaults,
)

Json = Mapping[str, Any]


class BidPlan(NamedTuple):
    """One bid with its metro chosen. Action is create or keep; a bid with problems has neither."""

    bid: dict[str, Any]
    metro: str | None
    action: str | None
    offer: Json | None
    live: Json | None
    problems: list[str]
    notes: list[str]


def spot_plan(
    bids: Sequence[Json], providers: Mapping[str, Json], channels: Sequence[Json], ceiling: Any
) -> dict[str, Any]:
    """The whole plan. `providers` holds, per provider, the results of the verbs offers and list as {offers, list}."""
    plans = [_plan_bid(with_defaults(bid), providers[bid["provider"]]) for bid in bids]
    undeclared = _undeclared(bids, providers)
    cost = cost_per_hour(bids)
    live_too = sum((request_cost(request) for request in undeclared), Decimal(0))
    problems = [problem for plan in plans for problem in plan.problems]
    if cost + live_too > dollars(ceiling):
        problems.append(_over_ceiling(cost, live_too, undeclared, ceiling))
    return {
        "problems": problems,
        "bids": [_described(plan) for plan in plans],
        "requests": [_request(plan, channels) for plan in plans if not plan.problems],
        "undeclared": [dict(request) for request in undeclared],
        "foreign": [dict(request) for request in _live(providers) if not request["ours"]],
        "create": [plan.bid["name"] for plan in plans if plan.action == "create"],
        "keep": [plan.bid["name"] for plan in plans if plan.action == "keep"],
        "cost_usd_per_hour": float(cost),
        "cost_usd_per_month": float(cost * HOURS_PER_MONTH),
        "undeclared_usd_per_hour": float(live_too),
        "ceiling_usd_per_hour": float(dollars(ceiling)),
    }


def request_cost(request: Json) -> Decimal:
    """What a live request may cost in an hour."""
    return Decimal(int(request["count"])) * dollars(request["max_bid_usd_per_hour"])


def _plan_bid(bid: dict[str, Any], provider: Json) -> BidPlan:
    offers, unknown = provider["offers"], _unknown(bid, provider["offers"])
    if unknown:
        return BidPlan(bid, None, None, None, None, unknown, [])
    live = [request for request in provider["list"]["requests"] if request["ours"] and request["name"] == bid["name"]]
    offered = {offer["metro"]: offer for offer in offers["offers"] if offer["plan"] == bid["plan"]}
    if live:
        return _plan_live(bid, live, offered)
    metro = next((metro for metro in _metros(bid) if metro in offered), None)
    if metro is None:
        text = f"bid {bid['name']!r}: none of its metros ({', '.join(bid['metros'])}) offers the plan {bid['plan']}"
        return BidPlan(bid, None, None, None, None, [text], [])
    return BidPlan(bid, metro, "create", offered[metro], None, [], _market_notes(bid, offered[metro]))


def _plan_live(bid: dict[str, Any], live: Sequence[Json], offered: Mapping[str, Json]) -> BidPlan:
    """A live request keeps its metro, even if one that is preferred has offers again: nothing is bought twice."""
    request = live[0]
    if len(live) > 1:
        ids = ", ".join(item["id"] for item in live)
        text = f"bid {bid['name']!r} has {len(live)} live requests ({ids}): end all but one of them, then launch again"
        return BidPlan(bid, None, None, None, request, [text], [])
    differences = _differences(bid, request)
    if differences:
        text = (
            f"bid {bid['name']!r} differs from its live request {request['id']} ({'; '.join(differences)}): the market cannot "
            "change a request; declare it as it is, or end it first (under a new name the change is a second request, and the "
            "old one counts towards the ceiling until it is ended)"
        )
        return BidPlan(bid, request["metro"], None, None, request, [text], [])
    offer = offered.get(request["metro"])
    return BidPlan(bid, request["metro"], "keep", offer, request, [], _market_notes(bid, offer))


def _differences(bid: Json, request: Json) -> list[str]:
    found = []
    if request["plan"] is not None and request["plan"].lower() != bid["plan"]:
        found.append(f"plan is {request['plan']}, declared {bid['plan']}")
    if request["metro"] not in _metros(bid):
        found.append(f"metro is {request['metro']}, declared {', '.join(bid['metros'])}")
    if request["count"] != bid["count"]:
        found.append(f"count is {request['count']}, declared {bid['count']}")
    if dollars(request["max_bid_usd_per_hour"]) != dollars(bid["max_bid_usd_per_hour"]):
        found.append(f"max bid is {request['max_bid_usd_per_hour']}, declared {bid['max_bid_usd_per_hour']}")
    return found


def _unknown(bid: Json, offers: Json) -> list[str]:
    found = []
    if bid["plan"] in offers["unknown_plans"]:
        found.append(f"bid {bid['name']!r}: plan {bid['plan']!r} is not known to {bid['provider']}")
    if bid["kind"] not in offers["kinds"]:
        found.append(f"bid {bid['name']!r}: {bid['provider']} sells {', '.join(offers['kinds'])}, not {bid['kind']}")
    unknown = {metro.lower() for metro in offers["unknown_metros"]}
    return found + [
        f"bid {bid['name']!r}: metro {metro!r} is not known to {bid['provider']}"
        for metro in _metros(bid)
        if metro in unknown
    ]


def _metros(bid: Json) -> list[str]:
    return [metro.lower() for metro in bid["metros"]]


def _market_notes(bid: Json, offer: Json | None) -> list[str]:
    price = offer and offer["spot_price_usd_per_hour"]
    if bid["kind"] != "spot":
        return []
    if price is None:
        return ["no spot price is known"]
    if dollars(price) > dollars(bid["max_bid_usd_per_hour"]):
        return ["the market is above the bid: no machine until the price falls"]
    return []


def _live(providers: Mapping[str, Json]) -> list[Json]:
    return [
        {**request, "provider": name} for name in sorted(providers) for request in providers[name]["list"]["requests"]
    ]


def _undeclared(bids: Sequence[Json], providers: Mapping[str, Json]) -> list[Json]:
    """Requests of this fleet that no bid declares (any more); one without machines may have lost its name with its bid."""
    declared = {(bid["provider"], bid["name"]) for bid in bids}
    return [
        request
        for request in _live(providers)
        if request["ours"] and (request["provider"], request["name"]) not in declared
    ]


def _over_ceiling(cost: Decimal, live_too: Decimal, undeclared: Sequence[Json], ceiling: Any) -> str:
    names = ", ".join(f"{request['name'] or request['id']}" for request in undeclared)
    also = f" and live requests that are no longer declared ({names}) {live_too}" if undeclared else ""
    return (
        f"the bids may cost {cost}{also} USD per hour, more than spot_fleet_ceiling_usd_per_hour ({ceiling}): "
        "lower a bid, end a request, or raise the ceiling"
    )


def _request(plan: BidPlan, channels: Sequence[Json]) -> dict[str, Any]:
    """The bid as the provider's verb create takes it, beside the provider's name."""
    fields = ("name", "kind", "plan", "count", "max_bid_usd_per_hour", "tags", "hostname")
    request = {name: plan.bid[name] for name in fields}
    return {
        "provider": plan.bid["provider"],
        "bid": {**request, "metro": plan.metro, "boot_url": boot_url(plan.bid, channels)},
    }


def _described(plan: BidPlan) -> dict[str, Any]:
    hourly = plan.bid["count"] * dollars(plan.bid["max_bid_usd_per_hour"])
    return {
        **{
            name: plan.bid[name]
            for name in ("name", "provider", "kind", "plan", "metros", "count", "max_bid_usd_per_hour")
        },
        "metro": plan.metro,
        "action": plan.action,
        "request_id": plan.live["id"] if plan.live else None,
        "device_ids": list(plan.live["device_ids"]) if plan.live else [],
        "usd_per_hour": float(hourly),
        "usd_per_month": float(hourly * HOURS_PER_MONTH),
        "spot_price_usd_per_hour": plan.offer["spot_price_usd_per_hour"] if plan.offer else None,
        "on_demand_price_usd_per_hour": plan.offer["on_demand_price_usd_per_hour"] if plan.offer else None,
        "notes": plan.notes,
    }
