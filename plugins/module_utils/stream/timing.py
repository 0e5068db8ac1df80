# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deadlines on a clock that tests can replace."""

from __future__ import annotations

import threading
import time
from typing import Callable

from .errors import StreamError

Clock = Callable[[], float]


class Deadline:
    """A point in time that something must be done by."""

    def __init__(self, seconds: float, what: str, clock: Clock = time.monotonic) -> None:
        self.seconds = seconds
        self._what = what
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, 0 at least."""
        return max(0.0, self._end - self._clock())

    def check(self) -> float:
        """Seconds left; when none are, say what was not done in time."""
        left = self.remaining()
        if left <= 0:
            raise StreamError(f"{self._what} took longer than the {self.seconds:g} seconds allowed")
        return left


class Limiter:
    """Holds all connections of a sender to so many bytes per second, with at most a tenth of a second saved up."""

    def __init__(self, rate: int, clock: Clock = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = clock()
        self._lock = threading.Lock()

    def spend(self, count: int) -> None:
        """Account for bytes that were sent, and wait until they were due."""
        if not self._rate:
            return
        with self._lock:
            now = self._clock()
            self._due = max(self._due, now - 0.1) + count / self._rate
            wait = self._due - now
        if wait > 0:
            self._sleep(wait)
