# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about one declared bid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import HOURS_PER_MONTH, dollars
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_choice import (
    above_bid,
    choose,
    metros_of,
    plans_of,
    price_of,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_live import Live
from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import counted

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """What the operator allows."""

    replace: bool = False
    end_undeclared: bool = False
    pauses: tuple[Json, ...] = ()
    # Leave requests as they are: they replace what they lose themselves.
    singles_only: bool = False
    # Machines that the provider is about to take back. They do not count as there, and cost until they are gone.
    leaving: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class BidPlan:
    """One bid with plan and metro chosen. Action is create, keep, change or pause; a bid with problems has none."""

    bid: dict[str, Any]
    plan: str | None = None
    metro: str | None = None
    action: str | None = None
    offer: Json | None = None
    live: Json | None = None
    device_ids: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    # Machines of the bid that are about to go, and that the provider may still have.
    leaving: tuple[str, ...] = ()

    @property
    def hourly(self) -> Decimal:
        """At the ceiling of the bid."""
        each: Decimal = dollars(self.bid["max_bid_usd_per_hour"])
        return Decimal(int(self.bid["count"])) * each

    @property
    def hourly_now(self) -> Decimal | None:
        """What its machines cost at the market's price; None when that is not known."""
        if not self.device_ids:
            return Decimal(0)
        price = self.offer and price_of(self.bid, self.offer)
        if price is None:
            return None
        return len(self.device_ids) * min(dollars(price), dollars(self.bid["max_bid_usd_per_hour"]))

    def described(self) -> dict[str, Any]:
        declared = ("name", "provider", "kind", "metros", "count", "max_bid_usd_per_hour")
        now = self.hourly_now
        return {
            **{name: self.bid[name] for name in declared},
            "plan": self.plan or self.bid["plan"],
            "metro": self.metro,
            "action": self.action,
            "request_id": self.live["id"] if self.live else None,
            "device_ids": list(self.device_ids),
            "usd_per_hour": float(self.hourly),
            "usd_per_month": float(self.hourly * HOURS_PER_MONTH),
            "usd_per_hour_now": None if now is None else float(now),
            "spot_price_usd_per_hour": self.offer["spot_price_usd_per_hour"] if self.offer else None,
            "on_demand_price_usd_per_hour": self.offer["on_demand_price_usd_per_hour"] if self.offer else None,
            "notes": list(self.notes),
        }


def plan_bid(bid: dict[str, Any], provider: Json, live: Live, options: Options) -> BidPlan:
    """Choose for a bid that has nothing live, keep what is as declared, and replace what differs where that is allowed."""
    unknown = _unknown(bid, provider["offers"])
    if unknown:
        return BidPlan(bid, problems=tuple(unknown))
    if bid["kind"] == "spot" and options.singles_only:
        return BidPlan(bid, action="pause", notes=("requests are left as they are here",))
    if bid["kind"] == "spot":
        requests = live.requests_of(bid)
        return _plan_live(bid, requests, provider, options) if requests else _plan_new(bid, provider, options)
    if bid["provider"] in live.blind:
        text = f"bid {bid['name']!r}: {bid['provider']} does not tell which machines there are, so none is bought"
        return BidPlan(bid, problems=(text,))
    machines = live.singles_of(bid)
    staying = [machine for machine in machines if machine["id"] not in options.leaving]
    plan = _plan_singles(bid, staying, provider, options) if staying else _plan_new(bid, provider, options)
    leaving = sorted(machine["id"] for machine in machines if machine not in staying)
    return dataclasses.replace(plan, leaving=tuple(leaving))


def _plan_new(bid: dict[str, Any], provider: Json, options: Options) -> BidPlan:
    choice = choose(bid, provider["offers"]["offers"], options.pauses)
    if choice.problem:
        return BidPlan(bid, problems=(choice.problem,))
    if choice.paused:
        return BidPlan(bid, action="pause", notes=choice.notes)
    notes = choice.notes + _market_notes(bid, choice.offer)
    return BidPlan(bid, choice.plan, choice.metro, "create", choice.offer, notes=notes)


def _plan_live(bid: dict[str, Any], live: Sequence[Json], provider: Json, options: Options) -> BidPlan:
    """A live request keeps its plan and metro, even if those that are preferred have offers again: nothing is bought twice."""
    request = live[0]
    if len(live) > 1:
        ids = ", ".join(item["id"] for item in live)
        text = f"bid {bid['name']!r} has {len(live)} live requests ({ids}): end all but one of them, then launch again"
        return BidPlan(bid, live=request, problems=(text,))
    devices = tuple(request["device_ids"])
    differences = _differences(bid, request)
    if differences and options.replace:
        new = _plan_new(bid, provider, options)
        notes = (*differences, *new.notes)
        return dataclasses.replace(
            new,
            action="change" if new.action == "create" else None,
            live=request,
            device_ids=devices,
            notes=notes,
            problems=new.problems or _nothing_instead(bid, new),
        )
    if differences:
        return BidPlan(bid, metro=request["metro"], live=request, problems=(_refusal(bid, request, differences),))
    plan = (request["plan"] or bid["plan"]).lower()
    offer = _offer(provider, plan, request["metro"])
    return BidPlan(bid, plan, request["metro"], "keep", offer, request, devices, notes=_market_notes(bid, offer))


def _plan_singles(bid: dict[str, Any], machines: Sequence[Json], provider: Json, options: Options) -> BidPlan:
    """Machines of the bid that are there stay; lacking ones are bought beside them."""
    odd = sorted({str(machine["plan"]) for machine in machines} - set(plans_of(bid)))
    if odd:
        text = f"bid {bid['name']!r} has machines of {', '.join(odd)}, declared {', '.join(plans_of(bid))}: terminate them first"
        return BidPlan(bid, problems=(text,))
    places = sorted({f"{machine['plan']} in {machine['metro']}" for machine in machines})
    if len(places) > 1:
        text = f"bid {bid['name']!r} has machines in several places ({', '.join(places)}): terminate those of all but one first"
        return BidPlan(bid, problems=(text,))
    ids = tuple(sorted(machine["id"] for machine in machines))
    first = machines[0]
    offer = _offer(provider, first["plan"], first["metro"])
    more = len(ids) - bid["count"]
    if more >= 0:
        notes = (f"{counted(more, 'machine')} more than declared: drain and terminate what shall go",) if more else ()
        return BidPlan(bid, first["plan"], first["metro"], "keep", offer, None, ids, notes=notes)
    new = _plan_beside(bid, first, provider, options)
    return dataclasses.replace(
        new, bid=bid, device_ids=ids, notes=(f"{-more} of {bid['count']} machines lack", *new.notes)
    )


def _plan_beside(bid: dict[str, Any], first: Json, provider: Json, options: Options) -> BidPlan:
    """The machines of a bid are alike: those that lack are bought where the others are, or not at all."""
    if first["metro"] not in metros_of(bid):
        text = f"bid {bid['name']!r} has machines in {first['metro']}, declared {', '.join(metros_of(bid))}: terminate them first"
        return BidPlan(bid, problems=(text,))
    there = {"plan": first["plan"], "fallback_plans": [], "metros": [first["metro"]]}
    return _plan_new({**bid, **there}, provider, options)


def _offer(provider: Json, plan: str | None, metro: str | None) -> Json | None:
    return next(
        (offer for offer in provider["offers"]["offers"] if (offer["plan"], offer["metro"]) == (plan, metro)), None
    )


def _refusal(bid: Json, request: Json, differences: Sequence[str]) -> str:
    return (
        f"bid {bid['name']!r} differs from its live request {request['id']} ({'; '.join(differences)}): the market cannot "
        "change a request; declare it as it is, or set spot_fleet_change to replace, with which its machines are drained and "
        "ended first"
    )


def _nothing_instead(bid: Json, new: BidPlan) -> tuple[str, ...]:
    """A request is not ended for one that cannot be made now."""
    if new.action == "create":
        return ()
    return (f"bid {bid['name']!r} cannot be replaced now ({'; '.join(new.notes)}): its live request stays as it is",)


def _differences(bid: Json, request: Json) -> list[str]:
    found = []
    if request["plan"] is not None and request["plan"].lower() not in plans_of(bid):
        found.append(f"plan is {request['plan']}, declared {', '.join(plans_of(bid))}")
    if request["metro"] not in metros_of(bid):
        found.append(f"metro is {request['metro']}, declared {', '.join(metros_of(bid))}")
    if request["count"] != bid["count"]:
        found.append(f"count is {request['count']}, declared {bid['count']}")
    if dollars(request["max_bid_usd_per_hour"]) != dollars(bid["max_bid_usd_per_hour"]):
        found.append(f"max bid is {request['max_bid_usd_per_hour']}, declared {bid['max_bid_usd_per_hour']}")
    return found


def _unknown(bid: Json, offers: Json) -> list[str]:
    known = ", ".join(offers["kinds"]) or "nothing"
    found = (
        []
        if bid["kind"] in offers["kinds"]
        else [f"bid {bid['name']!r}: {bid['provider']} sells {known}, not {bid['kind']}"]
    )
    unknown_metros = {metro.lower() for metro in offers["unknown_metros"]}
    return [
        *(
            f"bid {bid['name']!r}: plan {plan!r} is not known to {bid['provider']}"
            for plan in plans_of(bid)
            if plan in offers["unknown_plans"]
        ),
        *found,
        *(
            f"bid {bid['name']!r}: metro {metro!r} is not known to {bid['provider']}"
            for metro in metros_of(bid)
            if metro in unknown_metros
        ),
    ]


def _market_notes(bid: Json, offer: Json | None) -> tuple[str, ...]:
    if bid["kind"] != "spot":
        return ()
    if offer is None or price_of(bid, offer) is None:
        return ("no spot price is known",)
    return ("the market is above the bid: no machine until the price falls",) if above_bid(bid, offer) else ()
