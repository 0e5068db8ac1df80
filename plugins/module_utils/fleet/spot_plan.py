# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole plan of a launch: what is created, kept, changed and ended, what it costs, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import (
    HOURS_PER_MONTH,
    boot_url,
    cost_per_hour,
    dollars,
    expanded,
    with_defaults,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_bid_plan import BidPlan, Options, plan_bid
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_live import (
    PRICE_TAG,
    Live,
    is_autoscaled,
    live_of,
    machine_cost,
    request_cost,
    undeclared,
)

Json = Mapping[str, Any]

DEFAULT_OPTIONS = Options()


class Left(NamedTuple):
    """What stays live of the fleet beside the declared bids."""

    # The most that it costs in an hour, as far as that is known.
    cost: Decimal
    names: list[str]
    # Machines of which nobody tells what they cost.
    unpriced: list[str]


def spot_plan(
    bids: Sequence[Json],
    providers: Mapping[str, Json],
    channels: Sequence[Json],
    ceiling: Any,
    options: Options = DEFAULT_OPTIONS,
) -> dict[str, Any]:
    """The plan. `providers` holds, per provider, the results of the verbs offers and list as {offers, list}."""
    wanted = [with_defaults(bid) for bid in expanded(bids)]
    live = live_of(providers)
    plans = [plan_bid(bid, providers[bid["provider"]], live, options) for bid in wanted]
    requests, machines = undeclared(wanted, live)
    ends = [_end(plan.live, "its bid has changed") for plan in plans if plan.action == "change" and plan.live]
    if options.end_undeclared:
        ends += [_end(request, "no bid declares it") for request in requests]
        ends += [_end_machine(machine) for machine in machines if not is_autoscaled(machine)]
    machines = [_priced(machine, providers[machine["provider"]]) for machine in machines]
    left = _left(requests, [*machines, *_surplus(live, plans, options)], ends)
    return {
        **_done(plans, channels),
        **_others(live, requests, machines),
        "ends": ends,
        **_cost(wanted, plans, left, ceiling),
    }


def _priced(machine: Json, provider: Json) -> Json:
    """A machine on demand, of which the provider tells no price, costs what its plan costs there."""
    if machine["kind"] != "on_demand" or machine_cost(machine) is not None:
        return machine
    prices = {
        (offer["plan"], offer["metro"]): offer["on_demand_price_usd_per_hour"] for offer in provider["offers"]["offers"]
    }
    return {**machine, "max_usd_per_hour": prices.get((machine["plan"], machine["metro"]))}


def _done(plans: Sequence[BidPlan], channels: Sequence[Json]) -> dict[str, Any]:
    """What is bought. Kept requests are among them: that they are still there is made sure of."""
    by_action = {
        action: [plan.bid["name"] for plan in plans if plan.action == action]
        for action in ("create", "keep", "change", "pause")
    }
    bought = [plan for plan in plans if plan.action in ("create", "keep", "change")]
    return {
        **by_action,
        "bids": [plan.described() for plan in plans],
        "requests": [_request(plan, channels) for plan in bought],
    }


def _others(live: Live, requests: Sequence[Json], machines: Sequence[Json]) -> dict[str, Any]:
    foreign, strangers = live.foreign()
    return {
        "undeclared": [dict(request) for request in requests],
        "undeclared_machines": [dict(machine) for machine in machines],
        "foreign": [dict(request) for request in foreign],
        "foreign_machines": [dict(machine) for machine in strangers],
    }


def _cost(wanted: Sequence[Json], plans: Sequence[BidPlan], left: Left, ceiling: Any) -> dict[str, Any]:
    """At the ceilings of the bids, and now; with what else of the fleet stays live."""
    cost = cost_per_hour(wanted)
    now = [plan.hourly_now for plan in plans]
    problems = [problem for plan in plans for problem in plan.problems]
    if cost + left.cost > dollars(ceiling):
        problems.append(_over_ceiling(cost, left.cost, left.names, ceiling))
    if left.unpriced and any(plan.action in ("create", "change") for plan in plans):
        problems.append(_unpriced(left.unpriced))
    return {
        "problems": problems,
        "cost_usd_per_hour": float(cost),
        "cost_usd_per_month": float(cost * HOURS_PER_MONTH),
        "cost_now_usd_per_hour": None if None in now else float(sum((each or Decimal(0) for each in now), Decimal(0))),
        "undeclared_usd_per_hour": float(left.cost),
        "ceiling_usd_per_hour": float(dollars(ceiling)),
    }


def _left(requests: Sequence[Json], machines: Sequence[Json], ends: Sequence[Json]) -> Left:
    ending = {end["request_id"] for end in ends if end["request_id"]} | {
        device for end in ends if not end["request_id"] for device in end["device_ids"]
    }
    staying = [request for request in requests if request["id"] not in ending]
    singles = [machine for machine in machines if machine["id"] not in ending]
    cost = sum((request_cost(request) for request in staying), Decimal(0))
    cost += sum((machine_cost(machine) or Decimal(0) for machine in singles), Decimal(0))
    return Left(
        cost,
        [str(item["name"] or item["id"]) for item in [*staying, *singles]],
        [machine["id"] for machine in singles if machine_cost(machine) is None],
    )


def _surplus(live: Live, plans: Sequence[BidPlan], options: Options) -> list[Json]:
    """Machines of a bid beyond its count, and those that are about to go: where nobody tells, they cost what the bid allows."""
    found: list[Json] = []
    for plan in plans:
        if plan.bid["kind"] == "spot":
            continue
        machines = live.singles_of(plan.bid)
        staying = [machine for machine in machines if machine["id"] not in options.leaving]
        leaving = [machine for machine in machines if machine["id"] in options.leaving]
        most = plan.bid["max_bid_usd_per_hour"]
        found += [
            machine if machine_cost(machine) is not None else {**machine, "max_usd_per_hour": most}
            for machine in [*staying[plan.bid["count"] :], *leaving]
        ]
    return found


def _end(request: Json, reason: str) -> dict[str, Any]:
    return {
        "provider": request["provider"],
        "request_id": request["id"],
        "name": request["name"],
        "device_ids": sorted(request["device_ids"]),
        "reason": reason,
    }


def _end_machine(machine: Json) -> dict[str, Any]:
    return {
        "provider": machine["provider"],
        "request_id": None,
        "name": machine["name"],
        "device_ids": [machine["id"]],
        "reason": "no bid declares it",
    }


def _over_ceiling(cost: Decimal, live_too: Decimal, names: Iterable[str], ceiling: Any) -> str:
    listed = ", ".join(names)
    also = f" and live requests that are no longer declared ({listed}) {live_too}" if listed else ""
    return (
        f"the bids may cost {cost}{also} USD per hour, more than spot_fleet_ceiling_usd_per_hour ({ceiling}): "
        "lower a bid, end a request, or raise the ceiling"
    )


def _unpriced(ids: Iterable[str]) -> str:
    return (
        f"it is not known what {', '.join(ids)} may cost, so that the ceiling cannot be held: declare a bid for it, end it "
        f"(spot_fleet_end_undeclared does), or give it the tag {PRICE_TAG}PRICE"
    )


def _request(plan: BidPlan, channels: Sequence[Json]) -> dict[str, Any]:
    """The bid as the provider's verb create takes it, beside the provider's name."""
    fields = ("name", "kind", "count", "max_bid_usd_per_hour", "tags", "hostname")
    single = {} if plan.bid["kind"] == "spot" else {"single": True}
    request = {**{name: plan.bid[name] for name in fields}, **single, "plan": plan.plan, "metro": plan.metro}
    if plan.leaving:
        request["leaving"] = list(plan.leaving)
    return {
        "provider": plan.bid["provider"],
        "action": plan.action,
        "bid": {**request, "boot_url": boot_url(plan.bid, channels)},
    }
