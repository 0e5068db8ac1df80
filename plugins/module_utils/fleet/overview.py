# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet at a glance: each machine with what it does and costs, and what all of them cost together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_buying import committed, known_prices
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_machines import Machine, read_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import TAG, Limits, Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.drains import owners
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import (
    near_end,
    read_horizon,
    termination_time,
)

Json = Mapping[str, Any]


def overview(builders: Sequence[Json], readings: Json, fleet: str, ceiling: Any, now: datetime) -> dict[str, Any]:
    """Machines by id, and totals. What is not known is None, here and in every sum that it is part of."""
    offers = readings["offers"]
    limits = Limits(
        fleet,
        "",
        float(ceiling or 0),
        drain_tag=readings["drain_tag"],
        boot_seconds=readings["boot_seconds"],
        horizon_seconds=read_horizon(readings.get("horizon_seconds")),
    )
    prices = {**_bids(readings["bids"], builders), **readings["prices"]}
    machines = read_machines(
        builders,
        readings["jobs"],
        readings["requests"],
        Settings(limits, ()),
        known_prices(builders, offers, prices),
        now,
    )
    facts = {str(entry.get("builder_id")): entry for entry in builders}
    cost = committed(machines, readings["requests"])
    until = now.timestamp() + limits.horizon_seconds
    rows = [
        _row(machine, facts[machine.id], offers, limits.drain_tag, until) for machine in machines if machine.id in facts
    ]
    for row in rows:
        if row["id"] in (readings.get("unread") or ()):
            row["coming_up"] = None  # it may have said that it is up, where nobody could read it
    now_usd = [row["usd_per_hour"] for row in rows]
    return {
        "fleet": fleet,
        "read_at": readings["read_at"],
        "machines": rows,
        "foreign": sum(entry.get("builder_fleet") != fleet for entry in builders),
        "requests": [_request(request) for request in readings["requests"]],
        "prices": _prices(offers),
        "bids": [{name: bid[name] for name in ("name", "plan", "max_bid_usd_per_hour")} for bid in readings["bids"]],
        "jobs": _total([row["jobs"] for row in rows]),
        "usd_per_hour": _total(now_usd),
        "usd_per_hour_at_most": None if cost.unknown else float(cost.usd),
        "cost_unknown": list(cost.unknown),
        "ceiling_usd_per_hour": float(ceiling) if ceiling not in (None, "") else None,
    }


def _row(machine: Machine, facts: Json, offers: Mapping[str, Json], drain_tag: str, until: float) -> dict[str, Any]:
    return {
        "id": machine.id,
        "provider": facts.get("builder_provider"),
        "plan": facts.get("builder_plan"),
        "location": facts.get("builder_location"),
        "state": machine.state,
        "coming_up": not (machine.ready or machine.problem),
        "hostname": facts.get("builder_hostname"),
        "image_id": facts.get("builder_image_id"),
        "created_at": facts.get("builder_created_at"),
        "age_seconds": machine.age,
        "jobs": machine.jobs,
        "jobs_reason": machine.jobs_reason,
        "drained_by": owners(facts, drain_tag) if machine.drained else [],
        "termination_time": termination_time(facts),
        "reclaimed": near_end(facts, until) is not None,
        "bought_by": _bought_by(facts, machine),
        "usd_per_hour": _market_price(facts, offers),
        "usd_per_hour_at_most": machine.usd,
        "problem": machine.problem,
    }


def _bought_by(facts: Json, machine: Machine) -> str:
    """The bid, or the autoscaler's class: who would miss the machine."""
    for tag in facts.get("builder_tags") or []:
        if str(tag).startswith(TAG):
            return f"autoscale {str(tag)[len(TAG) :].partition('.')[0]}"
    bid = (facts.get("builder_spot") or {}).get("bid")
    return f"bid {bid}" if bid else f"request {machine.request}" if machine.request else ""


def _market_price(facts: Json, offers: Mapping[str, Json]) -> float | None:
    """What the machine costs now: the market's price where it is of the spot market, nothing more where it is paid for anyway."""
    answer = offers.get(str(facts.get("builder_provider")))
    if answer is None:
        return None
    if facts.get("builder_reservation_id") or answer["kinds"] == []:
        return 0.0
    kind = "spot" if facts.get("builder_spot") else "on_demand"
    for entry in answer["offers"]:
        if (entry["plan"], entry["metro"]) == (facts.get("builder_plan"), facts.get("builder_location")):
            price: float | None = entry[f"{kind}_price_usd_per_hour"]
            return price
    return None


def _bids(bids: Sequence[Json], builders: Sequence[Json]) -> dict[str, Any]:
    """What machines of declared bids cost at most, by id."""
    most = {bid["name"]: bid["max_bid_usd_per_hour"] for bid in bids}
    named = [(entry.get("builder_id"), (entry.get("builder_spot") or {}).get("bid")) for entry in builders]
    return {str(name): most[bid] for name, bid in named if bid in most}


def _request(request: Json) -> dict[str, Any]:
    fields = ("id", "name", "plan", "metro", "count", "max_bid_usd_per_hour", "ours")
    return {**{name: request[name] for name in fields}, "machines": len(request["device_ids"])}


def _prices(offers: Mapping[str, Json]) -> list[dict[str, Any]]:
    rows = [{"provider": provider, **entry} for provider, answer in offers.items() for entry in answer["offers"]]
    return sorted(rows, key=lambda row: (row["provider"], row["plan"], row["metro"]))


def _total(values: Sequence[Any]) -> Any:
    return None if any(value is None for value in values) else sum(values)
