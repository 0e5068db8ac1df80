# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which plans are not bought in which metros for a while, because their machines were reclaimed again and again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, stamp

Json = Mapping[str, Any]

WORDS = ("at", "device_id", "plan", "metro")


class PauseRule(NamedTuple):
    """So many machines reclaimed within so many seconds pause plan and metro until so many seconds after the last; 0 for never."""

    reclaims: int
    within_seconds: float
    pause_seconds: float


class Pause(NamedTuple):
    """A plan is not bought in a metro until then."""

    plan: str
    metro: str
    until: str
    reclaims: int


def parse_reclaims(text: str) -> list[dict[str, Any]]:
    """The remembered reclaims, a JSON object a line. A line that a crash cut short is left out; another form is an error."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict) or not all(isinstance(entry.get(word), str) for word in WORDS):
            raise FleetError(f"line {number} of the remembered reclaims is none; correct it or remove it")
        found.append(entry)
    return found


def find_pauses(reclaims: Iterable[Json], rule: PauseRule, now: float) -> list[Pause]:
    """The pauses that hold now."""
    if rule.reclaims < 1:
        return []
    by_place: dict[tuple[str, str], dict[str, float]] = {}
    for entry in reclaims:
        when = parse(entry["at"])
        if when is not None:
            # One machine is one reclaim, however often it was seen.
            by_place.setdefault((entry["plan"], entry["metro"]), {}).setdefault(entry["device_id"], when)
    found = [_pause(place, sorted(times.values()), rule) for place, times in sorted(by_place.items())]
    return [pause for pause in found if pause is not None and (parse(pause.until) or 0) > now]


def _pause(place: tuple[str, str], times: list[float], rule: PauseRule) -> Pause | None:
    """The pause after the last reclaim that made it so many within the time."""
    ends = [last for first, last in zip(times, times[rule.reclaims - 1 :]) if last - first <= rule.within_seconds]
    return Pause(*place, stamp(ends[-1] + rule.pause_seconds), len(times)) if ends else None
