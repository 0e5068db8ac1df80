# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deadlines and limits on a clock that does not wait."""

from __future__ import annotations

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline, Limiter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_deadline_counts_down_and_then_says_what_was_late():
    clock = Clock()
    deadline = Deadline(5, "the transfer", clock)
    clock.sleep(3)
    assert deadline.check() == pytest.approx(2)
    clock.sleep(3)
    assert deadline.remaining() == 0
    with pytest.raises(StreamError, match="the transfer took longer than the 5 seconds allowed"):
        deadline.check()


def test_a_limit_is_kept_over_time():
    clock = Clock()
    limiter = Limiter(1000, clock, clock.sleep)
    for _number in range(50):
        limiter.spend(100)
    assert clock.now - 100 == pytest.approx(5, abs=0.2)


def test_time_in_which_nothing_was_sent_is_not_saved_up():
    clock = Clock()
    limiter = Limiter(1000, clock, clock.sleep)
    clock.sleep(60)
    begun = clock.now
    for _number in range(50):
        limiter.spend(100)
    assert clock.now - begun >= 4.8


def test_no_limit_never_waits():
    clock = Clock()
    Limiter(0, clock, clock.sleep).spend(1 << 40)
    assert clock.now == 100
