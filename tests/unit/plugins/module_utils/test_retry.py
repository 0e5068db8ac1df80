# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trying again: how often, how long in between, and what is believed of Retry-After."""

from __future__ import annotations

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.retry import (
    Again,
    RetryPolicy,
    parse_retry_after,
    try_again,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Backoff, Clock

POLICY = RetryPolicy(tries=4, backoff=Backoff(first=1, factor=2, longest=3, jitter=0), longest_asked_pause=10)


def run(outcomes: list[Again | None], policy: RetryPolicy = POLICY) -> tuple[int, list[float]]:
    slept: list[float] = []
    clock = Clock(monotonic=lambda: 0.0, sleep=slept.append, random=lambda: 0.0)
    left = list(enumerate(outcomes))
    number, _last = try_again(lambda: left.pop(0), lambda outcome: outcome[1], policy, clock)
    return number, slept


def test_a_good_outcome_is_returned_at_once() -> None:
    assert run([None]) == (0, [])


def test_tries_are_limited_and_the_last_outcome_is_returned() -> None:
    assert run([Again()] * 4) == (3, [1, 2, 3])


def test_retry_after_is_honoured_within_bounds() -> None:
    assert run([Again(after=7), Again(after=9999), Again(after=0.1), None]) == (3, [7, 10, 3])


def test_one_try_means_one_try() -> None:
    assert run([Again()], RetryPolicy(tries=1)) == (0, [])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        (" 3 ", 3.0),
        ("Mon, 23 Nov 2026 04:00:10 GMT", 10.0),
        ("Mon, 23 Nov 2026 03:00:00 GMT", 0.0),
        ("soon", None),
        ("\u00b2", None),
        ("-5", None),
        ("", None),
        ("Mon, 99 Nov 2026 04:00:10 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=1795406400.0) == seconds
