# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declared bids: what can be told to be wrong with them before anybody is asked anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems, schema
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import repeated
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.schema import Problem, dotted

CONTRACT = "spot-fleet-bids"
HOURS_PER_MONTH = 730
RESERVED_TAGS = "nixmetal-"

Bid = Mapping[str, Any]


def bids_problems(bids: Any, channels: Any, fleet: Any, ceiling: Any) -> list[str]:
    """Everything wrong with the declaration, each sentence naming the bid and the field, or the setting."""
    shape = contract_problems(bids, CONTRACT)
    found = [_named(problem, bids) for problem in shape]
    if not shape:
        bids = expanded(bids)
        found += _twice(bids) + _channel_problems(bids, channels) + _price_problems(bids) + _reserved_tags(bids)
    found += _fleet_problems(fleet)
    limit, ceiling_problems = _ceiling(ceiling)
    found += ceiling_problems
    if limit is not None and not shape:
        found += _over_ceiling(bids, limit)
    return found


def dollars(value: Any) -> Decimal:
    """A price as the exact decimal number that was written."""
    return Decimal(str(value))


def cost_per_hour(bids: Sequence[Bid]) -> Decimal:
    """What the bids cost in an hour when every machine runs at its maximum bid."""
    return sum((bid["count"] * dollars(bid["max_bid_usd_per_hour"]) for bid in bids), Decimal(0))


def with_defaults(bid: Bid) -> dict[str, Any]:
    """The bid with what it may leave out, its plan as providers write it."""
    defaults = {"kind": "spot", "tags": [], "hostname": bid["name"], "fallback_plans": []}
    return {**defaults, **bid, "plan": bid["plan"].lower()}


def expanded(bids: Sequence[Bid]) -> list[dict[str, Any]]:
    """Each grade of a bid as a bid of its own: NAME for the bid itself, NAME-2, NAME-3 for its further grades."""
    found: list[dict[str, Any]] = []
    for bid in bids:
        plain = {name: value for name, value in bid.items() if name != "grades"}
        found.append(plain)
        found += [
            {"hostname": bid["name"], **plain, **grade, "name": f"{bid['name']}-{number}"}
            for number, grade in enumerate(bid.get("grades", []), 2)
        ]
    return found


def boot_url(bid: Bid, channels: Sequence[Mapping[str, Any]]) -> str:
    """The script that the bid's machines boot; the channel is known to exist."""
    base = next(channel["base_url"] for channel in channels if channel["name"] == bid["channel"])
    return f"{base.rstrip('/')}/{bid['channel']}/netboot.ipxe"


def _named(problem: Problem, bids: Any) -> str:
    if not problem.path:
        return f"spot_fleet_bids {problem.message}"
    index, *field = problem.path
    bid = bids[index]
    name = bid.get("name") if isinstance(bid, Mapping) else None
    who = f"bid {str(name)!r}" if name else f"bid number {int(index) + 1}"
    return f"{who}: {dotted(field)} {problem.message}" if field else f"{who} {problem.message}"


def _twice(bids: Sequence[Bid]) -> list[str]:
    return [
        f"bid {name!r}: name is used by more than one bid" for name in sorted(repeated(bid["name"] for bid in bids))
    ]


def _channel_problems(bids: Sequence[Bid], channels: Any) -> list[str]:
    if not isinstance(channels, (list, tuple)) or not all(isinstance(channel, Mapping) for channel in channels):
        return ["netboot_channels must be a list of channels, each with name and base_url"]
    urls = {channel.get("name"): channel.get("base_url") for channel in channels}
    found = [
        f"bid {bid['name']!r}: channel {bid['channel']!r} is not in netboot_channels "
        f"(declared: {', '.join(sorted(map(str, urls))) or 'none'})"
        for bid in bids
        if bid["channel"] not in urls
    ]
    used = {bid["channel"] for bid in bids} & set(urls)
    return found + [
        f"netboot_channels: base_url of {name!r} must be an http or https address, not {urls[name]!r}"
        for name in sorted(used)
        if not str(urls[name]).startswith(("http://", "https://"))
    ]


def _price_problems(bids: Sequence[Bid]) -> list[str]:
    return [
        f"bid {bid['name']!r}: max_bid_usd_per_hour {bid['max_bid_usd_per_hour']} is not in whole cents; "
        "the market would round it"
        for bid in bids
        if dollars(bid["max_bid_usd_per_hour"]) % Decimal("0.01")
    ]


def _reserved_tags(bids: Sequence[Bid]) -> list[str]:
    """Tags by which the collection itself tells whose a machine is."""
    return [
        f"bid {bid['name']!r}: tag {tag!r} begins with {RESERVED_TAGS}, which only the collection itself may write"
        for bid in bids
        for tag in bid.get("tags", [])
        if tag.startswith(RESERVED_TAGS)
    ]


def _fleet_problems(fleet: Any) -> list[str]:
    name = schema("provider-verbs")["$defs"]["list_request"]["properties"]["fleet"]["pattern"]
    broken = contract_problems({"fleet": fleet, "names": []}, "provider-verbs", "list_request")
    return [f"spot_fleet_name must be set to a name that matches {name}, not {fleet!r}"] if broken else []


def _ceiling(ceiling: Any) -> tuple[Decimal | None, list[str]]:
    remedy = "set spot_fleet_ceiling_usd_per_hour to the most USD that the whole fleet may cost in an hour"
    if ceiling is None or ceiling == "":
        return None, [f"the fleet has no ceiling: {remedy}"]
    try:
        limit = dollars(ceiling)
    except InvalidOperation:
        return None, [f"spot_fleet_ceiling_usd_per_hour is {ceiling!r}, not a number: {remedy}"]
    if isinstance(ceiling, bool) or not limit.is_finite() or limit <= 0:
        return None, [f"spot_fleet_ceiling_usd_per_hour is {ceiling}: {remedy}"]
    return limit, []


def _over_ceiling(bids: Sequence[Bid], limit: Decimal) -> list[str]:
    cost = cost_per_hour(bids)
    if cost <= limit:
        return []
    text = (
        f"the bids may cost {cost} USD per hour, more than spot_fleet_ceiling_usd_per_hour ({limit}): "
        "lower count or max_bid_usd_per_hour of a bid, or raise the ceiling"
    )
    return [text]
