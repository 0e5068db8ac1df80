# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of calls that holds all the time, and tells of itself in headers; and the time that each call takes."""

from __future__ import annotations

import asyncio
import math

from metal_lab.core.clock import Clock
from metal_lab.core.settings import LimitSettings

Headers = list[tuple[bytes, bytes]]


class Limits:
    """Counts calls in windows that follow each other on the emulator's clock."""

    def __init__(self, settings: LimitSettings, clock: Clock) -> None:
        self._clock = clock
        self.set(settings)

    def set(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._ends = 0.0
        self._left = 0

    def take(self) -> tuple[bool, Headers]:
        """Whether a call is let through, and the headers that its answer carries."""
        if self._settings.calls is None:
            return True, []
        now = self._clock.now()
        if now >= self._ends:
            self._ends, self._left = now + self._settings.window, self._settings.calls
        allowed = self._left > 0
        self._left -= allowed
        headers = [
            (b"x-ratelimit-limit", str(self._settings.calls).encode()),
            (b"x-ratelimit-remaining", str(self._left).encode()),
            (b"x-ratelimit-reset", str(math.ceil(self._ends)).encode()),
        ]
        if not allowed:
            headers.append((b"retry-after", str(max(1, math.ceil(self._ends - now))).encode()))
        return allowed, headers

    async def wait(self) -> None:
        if self._settings.latency:
            await asyncio.sleep(self._settings.latency)
