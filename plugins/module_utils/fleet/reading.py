# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the machines were read completely: what every role asks before it writes, drains, buys or deletes.

Ansible goes on with an empty inventory when an inventory plugin fails, and its exit code is 0. A complete reading therefore
leaves the variable builders_reading; that it is missing is the only trace of a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems

CONTRACT = "builders-reading"
CLOCKS_DIFFER_SECONDS = 300


def reading_problems(
    reading: Mapping[str, Any] | None,
    hosts: int,
    max_age: float,
    now: datetime,
    allowed_filters: Iterable[str] = (),
    allow_unread: bool = False,
) -> list[str]:
    """Why the reading cannot be trusted; `hosts` are in the group builders, `max_age` is in seconds, 0 for any age.

    What a filter left out is unknown: such a machine may build, and may run an image that nobody else runs.
    """
    if not reading:
        return ["builders_reading is not set: the inventory plugin failed or was not asked"]
    shape = [f"builders_reading: {problem}" for problem in contract_problems(reading, CONTRACT)]
    if shape:
        return shape
    found = []
    if reading["count"] != hosts:
        found.append(f"the reading found {reading['count']} machines, but the group builders has {hosts}")
    filters = [name for name in reading.get("filters", []) if name not in set(allowed_filters)]
    if filters:
        found.append(
            f"the reading leaves machines out (by {', '.join(filters)}), of which nothing is known: give an inventory "
            "without these options, or name them in builders_reading_allowed_filters if nothing here depends on what they leave out"
        )
    unread = reading.get("unread", [])
    if unread and not allow_unread:
        found.append(
            f"what {', '.join(unread[:5])}{' and others' if len(unread) > 5 else ''} say of themselves could not be read"
        )
    age = _age(reading["read_at"], now)
    if age is None:
        found.append(f"builders_reading: read_at {reading['read_at']!r} is not a time with its zone")
    elif max_age and age < -CLOCKS_DIFFER_SECONDS:
        found.append(
            f"the reading is from {-age:.0f} seconds in the future: a clock is wrong, so its age cannot be told"
        )
    elif max_age and age > max_age:
        found.append(f"the reading is {age:.0f} seconds old (cached?), more than {max_age:.0f}")
    return found


def _age(read_at: str, now: datetime) -> float | None:
    try:
        moment = datetime.fromisoformat(read_at.replace("Z", "+00:00"))
    except ValueError:
        return None
    return None if moment.tzinfo is None else (now - moment).total_seconds()
