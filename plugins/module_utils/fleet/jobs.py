# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many builds a builder runs: what a source says of it, where what is not known is never taken for idle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple


class JobsTarget(NamedTuple):
    """A builder that is asked for. `label` is what Hydra and Prometheus call it; without one it cannot be looked up."""

    id: str
    label: str | None = None
    address: str | None = None
    port: int = 22
    user: str | None = None
    host_key: str | None = None
    problem: str | None = None


class JobsReading(NamedTuple):
    """What is known of a builder. `jobs` is null, with the reason, when it is not known how many builds run there."""

    jobs: int | None
    source: str
    label: str | None
    reason: str | None = None
    boot_id: str | None = None
    image_id: str | None = None

    @property
    def is_idle(self) -> bool:
        return self.jobs == 0


Readings = dict[str, JobsReading]
Reader = Callable[[Iterable[JobsTarget]], Readings]


class JobsError(Exception):
    """A whole source gives no answer, or a setting is not as it must be."""


def all_unknown(targets: Iterable[JobsTarget], source: str, reason: str) -> Readings:
    """The answer of a source that could not be asked."""
    return {target.id: JobsReading(None, source, target.label, reason) for target in targets}


def target_from(entry: Mapping[str, Any]) -> JobsTarget:
    """A builder as an option of a module names it."""
    return JobsTarget(**{name: entry[name] for name in JobsTarget._fields if entry.get(name) is not None})


def count_from(value: Any) -> int | None:
    """A number of builds, or null for whatever is none: a text, a fraction, NaN, a negative number, a truth value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not math.isfinite(value) or value < 0 or value != int(value):
        return None
    return int(value)
