# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a queue was asked for over time: recorded by an operator, or generated from a seed.

A recorded history has one line of JSON for each reading, `{"time": SECONDS, "answer": what /queue-runner-status said}`. It tells how many
steps were runnable and running, not how many came: what is counted as come is what both together grew by since the reading before, so
steps that came and went between two readings are missing.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.queue import Waiting, read_queue

DAY = 86_400
HOUR = 3_600


@dataclass(frozen=True)
class Arrival:
    """Steps of one type that come at a time, in seconds from the beginning."""

    time: float
    system: str
    features: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class History:
    """All that comes, oldest first, and for how long it is looked at."""

    name: str
    arrivals: tuple[Arrival, ...]
    seconds: float


def recorded(path: Path) -> History:
    """The history that an operator recorded."""
    readings = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not readings:
        raise ValueError(f"{path} has no readings")
    begin = float(readings[0]["time"])
    before: dict[tuple[str, tuple[str, ...]], int] = {}
    arrivals = []
    for reading in readings:
        when = float(reading["time"]) - begin
        for waiting in read_queue(reading["answer"], 0, math.inf):
            key = (waiting.system, tuple(waiting.features or ()))
            now = waiting.runnable + waiting.running
            if now > before.get(key, 0):
                arrivals.append(Arrival(when, *key, now - before.get(key, 0)))
            before[key] = now
    return History(path.name, tuple(arrivals), float(readings[-1]["time"]) - begin + HOUR)


def generated(seed: int, days: float = 2, system: str = "x86_64-linux", scale: float = 1.0) -> History:
    """Evaluations of jobsets, more of them in the daytime: most bring some hundred steps, a few rebuild nearly everything."""
    dice = random.Random(seed)
    arrivals = sorted(_evaluations(dice, days * DAY, system, scale), key=lambda arrival: arrival.time)
    return History(f"generated from seed {seed}", tuple(arrivals), days * DAY)


def _evaluations(dice: random.Random, seconds: float, system: str, scale: float) -> Iterator[Arrival]:
    when = dice.expovariate(1 / HOUR)
    while when < seconds:
        steps = dice.lognormvariate(5, 1) if dice.random() < 0.9 else dice.uniform(4_000, 9_000)
        yield Arrival(when, system, (), max(1, round(steps * scale)))
        big = round(steps * scale * 0.004)
        if big:
            yield Arrival(when + 60, system, ("big-parallel",), big)
        by_day = 1.0 + 0.7 * math.sin(2 * math.pi * (when % DAY) / DAY - math.pi / 2)
        when += dice.expovariate(by_day / HOUR)


def as_answer(runnable: dict[Waiting, int]) -> list[dict[str, object]]:
    """Counts as the module hydra_queue_info tells them."""
    return [{**waiting._asdict(), "runnable": number} for waiting, number in runnable.items()]
