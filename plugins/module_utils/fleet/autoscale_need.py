# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many machines a queue needs, and how long it has needed them.

What is kept between runs is, for each class, how many machines each reading wanted. More machines are bought only for what every
reading of the grace period wanted; fewer are kept only when no reading of the cool-down wanted them. A history that is lost or has a gap
does not reach back far enough, so that nothing happens until it does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import Settings, SizeClass

SCHEMA = 1

Json = Mapping[str, Any]
History = list[tuple[float, int]]


class Need(NamedTuple):
    """What the queue says of one class. `wanted` is None, with the reason, when that is not known."""

    runnable: int | None
    running: int | None
    wanted: int | None
    reason: str


class Targets(NamedTuple):
    """Machines to have at least, and the number above which they are too many (None while that is not known)."""

    at_least: int
    at_most: int | None


def needs(queue: Sequence[Json] | None, reason: str, settings: Settings) -> dict[str, Need]:
    """By class, how many machines its steps need now."""
    if queue is None:
        return {size.name: Need(None, None, None, reason or "the queue was not read") for size in settings.classes}
    return {size.name: _need(queue, size, settings) for size in settings.classes}


def uncovered(queue: Sequence[Json] | None, settings: Settings) -> list[str]:
    """Steps that no class is for."""
    return [
        f"{waiting['runnable']} runnable steps of {machine_type(waiting)} are of no class"
        for waiting in queue or []
        if waiting["runnable"] and not any(_part(waiting, size, settings) != 0 for size in settings.classes)
    ]


def machine_type(waiting: Json) -> str:
    features = waiting["features"]
    return f"{waiting['system']}:{','.join(features)}" if features else str(waiting["system"])


def _need(queue: Sequence[Json], size: SizeClass, settings: Settings) -> Need:
    parts = [(waiting, _part(waiting, size, settings)) for waiting in queue]
    vague = sorted({waiting["system"] for waiting, part in parts if part is None and waiting["runnable"]})
    if vague:
        words = f"the queue runner does not tell the features of the steps of {', '.join(vague)}, and the class has no share of them"
        return Need(None, None, None, words)
    runnable = sum(math.ceil(round(waiting["runnable"] * part, 6)) for waiting, part in parts if part)
    running = sum(math.ceil(round(waiting["running"] * part, 6)) for waiting, part in parts if part)
    return Need(runnable, running, wanted(runnable, size), f"{runnable} runnable steps")


def wanted(runnable: int, size: SizeClass) -> int:
    """One machine for each `divisor` steps that were begun, within min and max."""
    steps = max(0, runnable - size.ignored_runnable)
    return _clamped(-(-steps // size.divisor), size)


def _part(waiting: Json, size: SizeClass, settings: Settings) -> float | None:
    """The part of these steps that belongs to the class; None when it cannot be told."""
    system = waiting["system"]
    if system not in size.systems:
        return 0
    if waiting["features"] is not None:
        required = settings.size_features(system) & set(waiting["features"])
        return 1 if required == size.features else 0
    alone = sum(system in other.systems for other in settings.classes) == 1
    return 1 if alone else size.share


def _clamped(number: int, size: SizeClass) -> int:
    return min(size.max, max(size.min, number))


def read_history(state: Any, fleet: str, size: SizeClass, now: float) -> History:
    """The readings that the state keeps of a class, oldest first. What makes no sense is as if it were not there."""
    if not isinstance(state, Mapping) or state.get("schema") != SCHEMA or state.get("fleet") != fleet:
        return []
    kept = state.get("wanted")
    entries = kept.get(size.name) if isinstance(kept, Mapping) else None
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        return []
    return sorted((float(when), int(number)) for when, number in entries if when < now)


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, (list, tuple))
        and len(entry) == 2
        and all(isinstance(part, (int, float)) and not isinstance(part, bool) and math.isfinite(part) for part in entry)
    )


def extended(history: History, now: float, number: int | None, longest: float) -> History:
    """The history with this reading, without what is no longer needed. An unknown reading adds nothing, so that it leaves a gap."""
    whole = history if number is None else [*history, (now, number)]
    begin = now - longest
    older = [entry for entry in whole if entry[0] <= begin]
    return older[-1:] + [entry for entry in whole if entry[0] > begin]


def targets(history: History, now: float, size: SizeClass, gap: float) -> Targets:
    """What the readings up to now, the last of which is this one, agree on."""
    grace = _seen(history, now, size.grace_seconds, gap)
    cool = _seen(history, now, size.cool_down_seconds, gap)
    return Targets(
        min(_clamped(number, size) for number in grace) if grace else size.min,
        max(_clamped(number, size) for number in cool) if cool else None,
    )


def _seen(history: History, now: float, window: float, gap: float) -> list[int]:
    """What was wanted in the last `window` seconds, with what held when they began; empty when that is not known without a gap."""
    found = []
    later = now
    for when, number in reversed(history):
        if later - when > gap:
            return []
        found.append(number)
        if when <= now - window:
            return found
        later = when
    return []


def as_state(fleet: str, histories: Mapping[str, History], failed: Mapping[str, float]) -> dict[str, Any]:
    """What the next run is to know."""
    wanted_by_class = {name: [list(entry) for entry in history] for name, history in histories.items()}
    return {"schema": SCHEMA, "fleet": fleet, "wanted": wanted_by_class, "failed": dict(failed)}


def failed_offers(state: Any, fleet: str, now: float, retry: float) -> dict[str, float]:
    """Offers that could not be bought lately, by name, with the time."""
    if not isinstance(state, Mapping) or state.get("schema") != SCHEMA or state.get("fleet") != fleet:
        return {}
    kept = state.get("failed")
    pairs: Iterable[tuple[Any, Any]] = kept.items() if isinstance(kept, Mapping) else ()
    return {str(name): float(when) for name, when in pairs if _is_entry([when, 0]) and now - retry < when <= now}
