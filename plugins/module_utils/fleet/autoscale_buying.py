# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which machines are bought, of which offer, within what the fleet may cost and how many machines it may have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_machines import Machine
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import (
    Offer,
    Settings,
    SizeClass,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import dollars

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Cost:
    """What the fleet may cost in an hour, and whose cost is not known."""

    usd: Decimal
    unknown: tuple[str, ...]


def committed(machines: Sequence[Machine], requests: Sequence[Json]) -> Cost:
    """Live requests at their maximum, whether filled or not, and every machine beside them."""
    live = [request for request in requests if request["ours"]]
    ids = {request["id"] for request in live}
    single = [machine for machine in machines if machine.request not in ids]
    usd = sum((request["count"] * dollars(request["max_bid_usd_per_hour"]) for request in live), Decimal(0))
    usd += sum((dollars(machine.usd) for machine in single if machine.usd is not None), Decimal(0))
    return Cost(usd, tuple(machine.id for machine in single if machine.usd is None))


def known_prices(builders: Sequence[Json], answers: Mapping[str, Json], told: Json) -> dict[str, Any]:
    """What machines may cost that do not say it themselves: the operator's word, else the dearest price on demand, by plan.

    Machines of a provider that sells nothing are there anyway, and cost nothing more.
    """
    free = [
        facts["builder_id"]
        for facts in builders
        if answers.get(facts.get("builder_provider", ""), {}).get("kinds") == []
    ]
    found: dict[str, Any] = dict.fromkeys(free, 0)
    for entry in (entry for answer in answers.values() for entry in answer["offers"]):
        price = entry["on_demand_price_usd_per_hour"]
        if price is not None:
            found[entry["plan"]] = max(price, found.get(entry["plan"], 0))
    return {**found, **told}


@dataclasses.dataclass(frozen=True)
class Purchase:
    """One machine to buy."""

    size: SizeClass
    offer: Offer
    metro: str
    reason: str


class Market:
    """What can be bought: offers that did not fail lately, where the provider has the plan and the price is within the bid."""

    def __init__(
        self,
        answers: Mapping[str, Json],
        blocked: Mapping[str, str],
        failed: Mapping[str, float],
        paused: Sequence[Json] = (),
    ) -> None:
        self._answers = answers
        self._paused = {(pause["plan"], pause["metro"]) for pause in paused}
        self._blocked = blocked
        self._failed = failed

    def choose(self, size: SizeClass) -> tuple[Offer, str] | str:
        """The first offer that can be bought, with its metro; or why there is none."""
        reasons = []
        for offer in size.offers:
            if offer.full_name in self._blocked:
                reasons.append(self._blocked[offer.full_name])
                continue
            found = [metro for metro in self._metros(offer) if offer.bid_name(metro) not in self._failed]
            if found:
                return offer, found[0]
            where = f"{', '.join(offer.metros)} within {offer.max_bid_usd_per_hour} USD"
            reasons.append(f"{offer.plan} is not to be had in {where}, failed there lately, or is paused")
        return "; ".join(reasons)

    def _metros(self, offer: Offer) -> list[str]:
        """Where it can be had, in order of preference. Without an answer every metro is worth a try."""
        answer = self._answers.get(offer.provider)
        if answer is None:
            return [metro for metro in offer.metros if (offer.plan, metro) not in self._paused]
        sold = {entry["metro"]: entry for entry in answer["offers"] if entry["plan"].lower() == offer.plan}
        places = [metro for metro in offer.metros if metro in sold and (offer.plan, metro) not in self._paused]
        return [metro for metro in places if _within(sold[metro], offer)]


def _within(entry: Json, offer: Offer) -> bool:
    price = entry["spot_price_usd_per_hour" if offer.kind == "spot" else "on_demand_price_usd_per_hour"]
    if price is None:
        return offer.kind == "spot"
    return dollars(price) <= dollars(offer.max_bid_usd_per_hour)


class Buyer:
    """Buys for one class after another while there is room; what stood in the way is kept by class."""

    def __init__(self, machines: Sequence[Machine], cost: Cost, settings: Settings, market: Market) -> None:
        self._limits = settings.limits
        self._cost = cost
        self._market = market
        self._live = {size.name: sum(machine.size is size for machine in machines) for size in settings.classes}
        self._total = len(machines)
        self.usd = cost.usd
        self.purchases: list[Purchase] = []
        self.obstacles: dict[str, str] = {}

    def buy(self, lacking: Sequence[tuple[SizeClass, int, str]]) -> None:
        """One machine for each class in turn, in the declared order, until nothing is lacking or nothing more can be bought."""
        left = [number for _size, number, _reason in lacking]
        while any(number > 0 for number in left):
            for index, (size, _number, reason) in enumerate(lacking):
                if left[index] > 0:
                    left[index] = left[index] - 1 if self._buy_one(size, reason) else 0

    def _buy_one(self, size: SizeClass, reason: str) -> bool:
        obstacle = self._obstacle(size)
        chosen = obstacle or self._market.choose(size)
        if isinstance(chosen, str):
            self.obstacles[size.name] = chosen
            return False
        offer, metro = chosen
        usd = dollars(offer.max_bid_usd_per_hour)
        if self.usd + usd > dollars(self._limits.ceiling_usd_per_hour):
            self.obstacles[size.name] = (
                f"one more at {usd} USD per hour would pass the ceiling of {self._limits.ceiling_usd_per_hour} USD per hour; "
                f"{self.usd} are committed"
            )
            return False
        self.usd += usd
        self._live[size.name] += 1
        self._total += 1
        self.purchases.append(Purchase(size, offer, metro, reason))
        return True

    def _obstacle(self, size: SizeClass) -> str:
        if self._cost.unknown:
            names = ", ".join(self._cost.unknown[:3])
            return f"it is not known what {names} may cost: give the price in fleet_autoscale_prices"
        if self._live[size.name] >= size.max:
            return f"the class has its most machines ({size.max}), those that are going among them"
        if self._limits.max_machines is not None and self._total >= self._limits.max_machines:
            return f"the fleet has its most machines ({self._limits.max_machines})"
        if len(self.purchases) >= self._limits.max_creations:
            return f"{self._limits.max_creations} machines are bought in one run at most"
        return ""
