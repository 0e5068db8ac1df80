# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends of machines: when a provider takes one back, and whether that is near enough to keep builds away from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse_any

# What counts where the operator says nothing (builder_reclaim_horizon_seconds).
HORIZON_SECONDS = 3600.0

Facts = Mapping[str, Any]


def read_horizon(given: Any) -> float:
    """The operator's seconds, also as text. What is no such number is refused: taken for 0, it would send builds to machines that go."""
    if given is None:
        return HORIZON_SECONDS
    try:
        seconds = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise FleetError(f"builder_reclaim_horizon_seconds: {given!r} is not a number of seconds above 0, such as 3600")
    return seconds


def termination_time(facts: Facts) -> str | None:
    """When the machine will be taken back, of whatever market it is; None while it will not."""
    told: str | None = facts.get("builder_termination_time") or (facts.get("builder_spot") or {}).get(
        "termination_time"
    )
    return told


def is_near(told: str, until: float) -> bool:
    """Whether that time is before the other, in seconds since the epoch. One that cannot be read is not taken for far."""
    when = parse_any(told)
    return when is None or when <= until


def near_end(facts: Facts, until: float | None) -> str | None:
    """The end of a machine that has one before then; without a limit any end counts."""
    told = termination_time(facts)
    return told if told is not None and (until is None or is_near(told, until)) else None
