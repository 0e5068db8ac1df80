# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to buy, drain, restore and remove so that a fleet follows its queue: a function of readings, settings and time alone.

Nothing is done for a class whose need is not known, and nothing at all when the queue could not be read. A machine is removed only if the
autoscaler bought it, nobody else drains it, no request owns it, and it is known to do nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import autoscale_need
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_buying import Buyer, Market, committed
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_machines import Machine, read_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_need import History, Need, Targets
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_removal import Removals, why_kept
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import Settings, SizeClass
from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import counted

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Readings:
    """Everything that was read, each as complete as its reader says. `queue` is None when it is not known, with the reason."""

    builders: Sequence[Json]
    queue: Sequence[Json] | None
    queue_reason: str
    jobs: Json
    requests: Sequence[Json]
    offers: Mapping[str, Json]
    prices: Json
    blocked: Mapping[str, str]
    state: Any
    now: datetime
    paused: Sequence[Json] = ()


@dataclasses.dataclass
class _Class:
    """One class under consideration."""

    size: SizeClass
    machines: list[Machine]
    need: Need
    history: History
    targets: Targets | None
    restores: list[Machine] = dataclasses.field(default_factory=list)
    lacking: int = 0
    why: str = ""

    def decide(self) -> None:
        """How many machines are lacking, and which drains of our own are lifted for it."""
        if self.targets is None:
            return
        serving = [machine for machine in self.machines if machine.serves]
        old = sum(machine.old for machine in serving)
        lacking = max(0, self.targets.at_least - len(serving))
        self.why = f"{self.targets.at_least} wanted, {len(serving)} there or coming"
        if not lacking and old and len(serving) == self.targets.at_least:
            lacking, self.why = 1, f"a successor for one of {old} machines beyond max_age_seconds"
        back = [machine for machine in self.machines if _restorable(machine)]
        self.restores = sorted(back, key=lambda machine: (machine.age or 0, machine.id))[:lacking]
        self.lacking = lacking - len(self.restores)


def _restorable(machine: Machine) -> bool:
    healthy = not (machine.problem or machine.doomed or machine.stuck or machine.old or machine.other_image)
    return machine.ours and machine.drained == "ours" and machine.ready and healthy and machine.request is None


def autoscale_plan(readings: Readings, settings: Settings) -> dict[str, Any]:
    """The decisions, each with its reason, and what the next run is to know."""
    machines = read_machines(
        readings.builders, readings.jobs, readings.requests, settings, readings.prices, readings.now
    )
    classes = _classes(machines, readings, settings)
    for each in classes:
        each.decide()
    failed = _failed(readings, settings)
    cost = committed(machines, readings.requests)
    buyer = Buyer(machines, cost, settings, Market(readings.offers, readings.blocked, failed, readings.paused))
    # What must be there whatever the queue says comes first.
    buyer.buy([(each.size, _below_min(each), "below min of the class") for each in classes])
    bought = {each.size.name: sum(item.size is each.size for item in buyer.purchases) for each in classes}
    buyer.buy([(each.size, each.lacking - bought[each.size.name], each.why) for each in classes])
    removals = Removals(settings.limits.max_removals)
    restored = {machine.id for each in classes for machine in each.restores}
    for each in classes:
        removals.consider(each.size, each.machines, each.targets, restored)
    return {
        "decisions": _decisions(machines, classes, buyer, removals, restored),
        "create": _creations(buyer, machines),
        "restore": sorted(restored),
        "drain": sorted(machine.id for machine, _reason in removals.drains),
        "remove": [machine.id for machine, _reason in removals.removals],
        "classes": [_described(each, buyer) for each in classes],
        "notes": _notes(machines, readings, settings),
        "usd_per_hour": float(cost.usd),
        "usd_per_hour_after": float(buyer.usd),
        "ceiling_usd_per_hour": settings.limits.ceiling_usd_per_hour,
        "acts": bool(buyer.purchases or restored or removals.drains or removals.removals),
        "state": autoscale_need.as_state(
            settings.limits.fleet, {each.size.name: each.history for each in classes}, failed
        ),
    }


def _classes(machines: Sequence[Machine], readings: Readings, settings: Settings) -> list[_Class]:
    needs = autoscale_need.needs(readings.queue, readings.queue_reason, settings)
    return [
        _class(size, [machine for machine in machines if machine.size is size], needs[size.name], readings, settings)
        for size in settings.classes
    ]


def _class(size: SizeClass, machines: list[Machine], need: Need, readings: Readings, settings: Settings) -> _Class:
    now, limits = readings.now.timestamp(), settings.limits
    longest = max(size.grace_seconds, size.cool_down_seconds)
    kept = autoscale_need.read_history(readings.state, limits.fleet, size, now)
    history = autoscale_need.extended(kept, now, need.wanted, longest)
    known = need.wanted is not None
    seen = autoscale_need.targets(history, now, size, limits.reading_gap_seconds) if known else None
    return _Class(size, machines, need, history, seen)


def _below_min(each: _Class) -> int:
    """Machines that are lacking even when nothing waits; never more than are lacking at all."""
    if each.targets is None:
        return 0
    serving = sum(machine.serves for machine in each.machines) + len(each.restores)
    return max(0, min(each.lacking, each.size.min - serving))


def _failed(readings: Readings, settings: Settings) -> dict[str, float]:
    limits = settings.limits
    return autoscale_need.failed_offers(readings.state, limits.fleet, readings.now.timestamp(), limits.retry_seconds)


def _creations(buyer: Buyer, machines: Sequence[Machine]) -> list[dict[str, Any]]:
    """By offer and metro: so many new machines, so many of the offer's name in all."""
    found: dict[str, dict[str, Any]] = {}
    for item in buyer.purchases:
        name = item.offer.bid_name(item.metro)
        there = sum(machine.bid_name == name for machine in machines)
        terms = {"name": name, "class": item.size.name, "offer": item.offer.name, "metro": item.metro}
        new = found.get(name, {"new": 0})["new"] + 1
        found[name] = {**terms, "new": new, "count": there + new}
    return list(found.values())


def _decisions(
    machines: Sequence[Machine],
    classes: Sequence[_Class],
    buyer: Buyer,
    removals: Removals,
    restored: set[str],
) -> list[dict[str, Any]]:
    unknown = {each.size.name: each.need.reason for each in classes if each.targets is None}
    acts = [
        {"action": "create", "class": item.size.name, "builder": None, "reason": f"{item.reason}; {item.offer.plan} in {item.metro}"}
        for item in buyer.purchases
    ]  # fmt: skip
    done = {machine.id: ("drain", reason) for machine, reason in removals.drains}
    done.update({machine.id: ("remove", reason) for machine, reason in removals.removals})
    done.update(dict.fromkeys(restored, ("restore", "needed again: the autoscaler's own drain is lifted")))
    for machine in machines:
        size = machine.size.name if machine.size else None
        why = unknown.get(size or "") or removals.kept.get(machine.id)
        action, reason = done.get(machine.id, ("keep", why_kept(machine, why)))
        acts.append({"action": action, "class": size, "builder": machine.id, "reason": reason})
    return acts


def _described(each: _Class, buyer: Buyer) -> dict[str, Any]:
    targets = each.targets
    return {
        "name": each.size.name,
        "runnable": each.need.runnable,
        "running": each.need.running,
        "wanted": each.need.wanted,
        "at_least": targets.at_least if targets else None,
        "at_most": targets.at_most if targets else None,
        "machines": len(each.machines),
        "serving": sum(machine.serves for machine in each.machines),
        "building": sum(machine.builds for machine in each.machines),
        "min": each.size.min,
        "max": each.size.max,
        "reason": each.need.reason,
        "obstacle": buyer.obstacles.get(each.size.name, ""),
    }


def _notes(machines: Sequence[Machine], readings: Readings, settings: Settings) -> list[str]:
    """What an operator should know beside the decisions."""
    notes = autoscale_need.uncovered(readings.queue, settings)
    foreign = sum(facts.get("builder_fleet") != settings.limits.fleet for facts in readings.builders)
    if foreign:
        notes.append(f"not looked at: {counted(foreign, 'machine')} of other fleets, or of none")
    notes += [f"{machine.id}: {machine.problem}" for machine in machines if machine.problem]
    notes += [
        f"{machine.id} is active, but has published no host key in {machine.age / 3600:.1f} hours: look at its console"
        for machine in machines
        if machine.silent and machine.age is not None
    ]
    return notes + [
        f"{machine.id} does the work of no class" for machine in machines if not machine.size and not machine.problem
    ]
