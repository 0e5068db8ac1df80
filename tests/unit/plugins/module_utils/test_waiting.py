# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting: it ends, and says what was seen last. No test sleeps."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import (
    NOT_YET,
    REACHED,
    Backoff,
    Clock,
    Verdict,
    WaitFailed,
    WaitTimedOut,
    wait_for,
)


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.clock = Clock(monotonic=lambda: self.now, sleep=self.sleep, random=lambda: 0.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_returns_what_reached_the_aim() -> None:
    time, numbers = FakeTime(), itertools.count()
    seen = wait_for(lambda: next(numbers), lambda number: REACHED if number == 3 else NOT_YET, 100, time.clock)
    assert seen == 3
    assert time.slept == [1.0, 1.5, 2.25]


def test_a_failure_ends_the_wait_at_once() -> None:
    time = FakeTime()
    with pytest.raises(WaitFailed, match="broken") as caught:
        wait_for(lambda: "bad", lambda _seen: Verdict(failure="broken"), 100, time.clock)
    assert caught.value.last_seen == "bad"
    assert time.slept == []


def test_the_deadline_is_kept_to_the_second_and_looked_at_once_more() -> None:
    time, looks = FakeTime(), []
    with pytest.raises(WaitTimedOut, match="not reached within 7 seconds") as caught:
        wait_for(lambda: looks.append(time.now) or len(looks), lambda _seen: NOT_YET, 7, time.clock)
    assert time.now == 7
    assert looks[-1] == 7
    assert caught.value.last_seen == len(looks)


def test_a_timeout_of_zero_looks_once() -> None:
    time = FakeTime()
    assert wait_for(lambda: 1, lambda _seen: REACHED, 0, time.clock) == 1
    with pytest.raises(WaitTimedOut):
        wait_for(lambda: 1, lambda _seen: NOT_YET, 0, time.clock)
    assert time.slept == []


def test_pauses_grow_to_a_longest_one_and_are_shortened_at_random() -> None:
    backoff = Backoff(first=1, factor=3, longest=5, jitter=0.5)
    assert list(itertools.islice(backoff.pauses(Clock(random=lambda: 0.0)), 4)) == [1, 3, 5, 5]
    assert list(itertools.islice(backoff.pauses(Clock(random=lambda: 1.0)), 4)) == [0.5, 1.5, 2.5, 2.5]
