# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting with an end: a clock that tests replace, capped backoff with jitter, and a deadline that tells what was seen last."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator
from typing import Callable, TypeVar

Seen = TypeVar("Seen")


@dataclasses.dataclass(frozen=True)
class Clock:
    """The time, as far as waiting needs it. Times are seconds of a clock that is never set back."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.SystemRandom().random


SYSTEM_CLOCK = Clock()


@dataclasses.dataclass(frozen=True)
class Backoff:
    """Pauses that grow by a factor up to a longest one, each shortened by a random part so that many callers spread out."""

    first: float = 0.5
    factor: float = 2.0
    longest: float = 20.0
    jitter: float = 0.25

    def pauses(self, clock: Clock) -> Iterator[float]:
        pause = self.first
        while True:
            yield pause * (1 - self.jitter * clock.random())
            pause = min(pause * self.factor, self.longest)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a predicate says of what was seen: reached, or failed for good, or (neither) not yet."""

    reached: bool = False
    failure: str | None = None


REACHED = Verdict(reached=True)
NOT_YET = Verdict()


class WaitError(Exception):
    """The wait ended without reaching its aim."""

    def __init__(self, message: str, last_seen: object) -> None:
        super().__init__(message)
        self.last_seen = last_seen


class WaitFailed(WaitError):
    """What was waited for can no longer happen."""


class WaitTimedOut(WaitError):
    """The deadline passed."""


def wait_for(
    look: Callable[[], Seen],
    judge: Callable[[Seen], Verdict],
    timeout: float,
    clock: Clock = SYSTEM_CLOCK,
    backoff: Backoff = Backoff(first=1.0, factor=1.5, longest=10.0),
) -> Seen:
    """Look until the judge says that the aim is reached. It is looked at least once, and a last time at the deadline."""
    deadline = clock.monotonic() + timeout
    pauses = backoff.pauses(clock)
    while True:
        seen = look()
        verdict = judge(seen)
        if verdict.reached:
            return seen
        if verdict.failure is not None:
            raise WaitFailed(verdict.failure, seen)
        left = deadline - clock.monotonic()
        if left <= 0:
            raise WaitTimedOut(f"not reached within {timeout:g} seconds", seen)
        clock.sleep(min(next(pauses), left))
