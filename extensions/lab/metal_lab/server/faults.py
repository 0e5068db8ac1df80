# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fault injection: calls that fail in a chosen way, before or after they took effect."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
from collections import deque
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_PREFIX = "/metal/v1"


class Fault(BaseModel):
    """One rule. ``path`` is a glob over the path without ``/metal/v1``."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["status", "garbage", "html", "truncate", "reset", "slow"]
    method: str = "*"
    path: str = "*"
    status: int = Field(500, ge=200, le=599)
    retry_after: str | None = None
    body: str | None = None
    delay_seconds: float = Field(0.0, ge=0, le=3600)
    when: Literal["before", "after"] = "before"
    skip: int = Field(0, ge=0, description="matching calls let through first")
    count: int | None = Field(1, ge=1, description="calls that fail; null is for always")
    id: int = 0

    def matches(self, method: str, path: str) -> bool:
        return self.method.upper() in ("*", method) and fnmatch.fnmatchcase(path, self.path)


class Faults:
    """The active rules and a record of the last calls."""

    def __init__(self, remembered_calls: int = 2000) -> None:
        self.rules: list[Fault] = []
        self.calls: deque[dict[str, Any]] = deque(maxlen=remembered_calls)
        self.counted = 0
        self._numbers = itertools.count(1)

    def record(self, call: dict[str, Any]) -> None:
        self.calls.append(call)
        self.counted += 1

    def forget_calls(self) -> None:
        self.calls.clear()
        self.counted = 0

    def add(self, fault: Fault) -> Fault:
        fault.id = next(self._numbers)
        self.rules.append(fault)
        return fault

    def remove(self, number: int | None) -> None:
        self.rules = [rule for rule in self.rules if number is not None and rule.id != number]

    def take(self, method: str, path: str) -> Fault | None:
        """The first rule that applies to this call; counts it."""
        for rule in self.rules:
            if not rule.matches(method, path):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.count is not None:
                rule.count -= 1
                if rule.count == 0:
                    self.rules.remove(rule)
                    return rule.model_copy(update={"count": 1})
            return rule
        return None


def plain_path(path: str) -> str:
    return path.removeprefix(_PREFIX) or "/"


async def slow_down(fault: Fault | None) -> None:
    if fault is not None and fault.delay_seconds:
        await asyncio.sleep(fault.delay_seconds)
