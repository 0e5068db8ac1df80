# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trying again by rule: a limited number of tries, capped backoff with jitter, and Retry-After honoured within bounds."""

from __future__ import annotations

import dataclasses
import email.utils
from typing import Callable, TypeVar

from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import SYSTEM_CLOCK, Backoff, Clock

Outcome = TypeVar("Outcome")

DEFAULT_BACKOFF = Backoff()


@dataclasses.dataclass(frozen=True)
class Again:
    """A judge's word that an outcome is worth another try, and how many seconds the other side asks to wait before it."""

    after: float | None = None


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How often to try, and how long to pause in between."""

    tries: int = 5
    backoff: Backoff = DEFAULT_BACKOFF
    longest_asked_pause: float = 60.0

    def pause(self, own: float, asked: float | None) -> float:
        """The longer of the own pause and the one asked for, which is not believed beyond a bound."""
        return max(own, min(max(asked or 0.0, 0.0), self.longest_asked_pause))


def try_again(
    attempt: Callable[[], Outcome],
    judge: Callable[[Outcome], Again | None],
    policy: RetryPolicy,
    clock: Clock = SYSTEM_CLOCK,
) -> Outcome:
    """The first outcome that the judge does not want tried again, or else the last one."""
    pauses = policy.backoff.pauses(clock)
    for _remaining in range(policy.tries - 1):
        outcome = attempt()
        again = judge(outcome)
        if again is None:
            return outcome
        clock.sleep(policy.pause(next(pauses), again.after))
    return attempt()


def parse_retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a Retry-After header asks for, given as seconds or as a date; None when it is absent or makes no sense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return max(0.0, date.timestamp() - now)
