# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator declares of a fleet that follows its queue, with everything that may be left out filled in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import bids_problems, dollars
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import repeated
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import HORIZON_SECONDS
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.schema import Problem, dotted

CONTRACT = "fleet-autoscale"
# The tag by which a machine is known to be the autoscaler's, and of which class and offer.
TAG = "nixmetal-autoscale="
# The tag that says what the machine may cost at most, as it was bought.
PRICE_TAG = "nixmetal-usd-per-hour="

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Offer:
    """One way to buy a machine of a class."""

    class_name: str
    name: str
    provider: str
    kind: str
    plan: str
    metros: tuple[str, ...]
    max_bid_usd_per_hour: float
    channel: str
    tags: tuple[str, ...]
    hostname: str

    @property
    def full_name(self) -> str:
        return f"{self.class_name}-{self.name}"

    def bid_name(self, metro: str | None) -> str:
        """The name under which the provider knows the machines of this offer: one for all that are alike in metro and price."""
        return f"{self.full_name}-{metro}-{dollars(self.max_bid_usd_per_hour) * 100:.0f}"

    @property
    def mark(self) -> str:
        return f"{TAG}{self.class_name}.{self.name}"


@dataclasses.dataclass(frozen=True)
class SizeClass:
    """Machines that do the same work: some systems, and steps that need certain features."""

    name: str
    systems: tuple[str, ...]
    features: frozenset[str]
    min: int
    max: int
    divisor: int
    ignored_runnable: int
    share: float | None
    grace_seconds: int
    cool_down_seconds: int
    billing_period_seconds: int
    billing_margin_seconds: int
    max_age_seconds: int | None
    forced_age_seconds: int | None
    image_id: str | None
    offers: tuple[Offer, ...]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What holds for all classes together."""

    fleet: str
    owner: str
    ceiling_usd_per_hour: float
    drain_tag: str = "skip-hydra"
    max_machines: int | None = None
    max_creations: int = 5
    max_removals: int = 5
    reading_gap_seconds: int = 900
    boot_seconds: int = 3600
    retry_seconds: int = 1800
    horizon_seconds: float = HORIZON_SECONDS


@dataclasses.dataclass(frozen=True)
class Settings:
    """The whole declaration."""

    limits: Limits
    classes: tuple[SizeClass, ...]

    def size_features(self, system: str) -> frozenset[str]:
        """The features by which the classes of a system differ; all others do not decide where a step is counted."""
        sets = [size.features for size in self.classes if system in size.systems]
        return frozenset().union(*sets)


CLASS_DEFAULTS: dict[str, Any] = {
    "features": [],
    "min": 0,
    "ignored_runnable": 0,
    "share": None,
    "grace_seconds": 300,
    "cool_down_seconds": 1800,
    "billing_period_seconds": 3600,
    "billing_margin_seconds": 900,
    "max_age_seconds": None,
    "forced_age_seconds": None,
    "image_id": None,
}


def settings_problems(classes: Any, channels: Any, fleet: Any, ceiling: Any) -> list[str]:
    """Everything wrong with the declaration, each sentence naming the class and the field."""
    shape = contract_problems(classes, CONTRACT)
    if shape:
        return [_named(problem, classes) for problem in shape]
    found = _names(classes) + _contradictions(classes)
    if found:
        return found
    # What holds for a bid holds for an offer: channel, price, tags, and beside them the fleet's name and ceiling.
    bids = [_as_bid(offer) for size in read_classes(classes) for offer in size.offers]
    return [
        _offer_words(problem)
        for problem in bids_problems(bids, channels, fleet, ceiling)
        if not problem.startswith("the bids may cost")
    ]


def read_classes(classes: Sequence[Json]) -> tuple[SizeClass, ...]:
    """The declared classes, which have no problems."""
    return tuple(_class({**CLASS_DEFAULTS, **declared}) for declared in classes)


def _class(declared: Json) -> SizeClass:
    offers = tuple(_offer(declared["name"], offer) for offer in declared["offers"])
    lists = {"systems": tuple(declared["systems"]), "features": frozenset(declared["features"]), "offers": offers}
    return SizeClass(**{**declared, **lists})


def _offer(class_name: str, declared: Json) -> Offer:
    full = {"kind": "spot", "tags": [], **declared}
    full["plan"] = full["plan"].lower()
    full.setdefault("name", full["plan"].replace(".", "-").replace("_", "-"))
    full.setdefault("hostname", f"{class_name}-{full['name']}")
    full["metros"] = tuple(metro.lower() for metro in full["metros"])
    full["tags"] = tuple(full["tags"])
    return Offer(class_name=class_name, **full)


def _as_bid(offer: Offer) -> dict[str, Any]:
    fields = ("provider", "kind", "plan", "max_bid_usd_per_hour", "channel", "hostname")
    lists = {"metros": list(offer.metros), "tags": list(offer.tags)}
    return {**{name: getattr(offer, name) for name in fields}, **lists, "name": offer.full_name, "count": 1}


def _named(problem: Problem, classes: Any) -> str:
    if not problem.path:
        return f"fleet_autoscale_classes {problem.message}"
    index, *field = problem.path
    declared = classes[index]
    name = declared.get("name") if isinstance(declared, Mapping) else None
    who = f"class {str(name)!r}" if name else f"class number {int(index) + 1}"
    return f"{who}: {dotted(field)} {problem.message}" if field else f"{who} {problem.message}"


def _offer_words(problem: str) -> str:
    return problem.replace("bid '", "offer '", 1) if problem.startswith("bid '") else problem


def _names(classes: Sequence[Json]) -> list[str]:
    found = [f"class {name!r}: name is used twice" for name in sorted(repeated(size["name"] for size in classes))]
    bids = [offer.full_name for size in read_classes(classes) for offer in size.offers]
    return found + [
        f"offer {name!r}: name is used twice; give one of the two another name" for name in sorted(repeated(bids))
    ]


def _contradictions(classes: Sequence[Json]) -> list[str]:
    found = []
    seen: dict[tuple[str, frozenset[str]], str] = {}
    for size in read_classes(classes):
        found += [f"class {size.name!r}: {words}" for words in _against_itself(size)]
        for system in size.systems:
            other = seen.setdefault((system, size.features), size.name)
            if other != size.name:
                found.append(f"class {size.name!r}: {system} with the same features is class {other!r} already")
    return found


def _against_itself(size: SizeClass) -> list[str]:
    found = []
    if size.min > size.max:
        found.append(f"min is {size.min}, more than max ({size.max})")
    if (
        size.forced_age_seconds is not None
        and (size.max_age_seconds or size.forced_age_seconds + 1) > size.forced_age_seconds
    ):
        found.append("forced_age_seconds needs a max_age_seconds that is not greater")
    if size.billing_period_seconds and not 0 < size.billing_margin_seconds <= size.billing_period_seconds:
        found.append("billing_margin_seconds must be more than 0 and at most billing_period_seconds")
    return found + [
        f"offer {offer.name!r}: kind reserved cannot be bought by need; declare it in spot_fleet_bids"
        for offer in size.offers
        if offer.kind == "reserved"
    ]
