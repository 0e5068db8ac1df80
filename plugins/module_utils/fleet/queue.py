# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that wait in a Hydra's queue, read from what either of its queue runners says. What is not understood is unknown, never 0.

The older runner (C++, until March 2026) counts steps by system and required features in `machineTypes`. The newer one (Rust) counts them
by system alone in `queueRunner.queueStats`, where the steps that run are among the total. Hydra's page /queue-runner-status passes on
either; when it cannot reach the runner it says `unknown` or `unreachable` with the HTTP status 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError

# Put among the features by the older runner for a step that prefers to be built on the coordinator.
LOCAL = "local"


class Waiting(NamedTuple):
    """Steps of one machine type. `features` is None where the runner does not tell them."""

    system: str
    features: list[str] | None
    runnable: int
    running: int


def read_queue(answer: Any, now: float, max_age: float) -> list[Waiting]:
    """The steps by machine type. Raises a FleetError that says why they are not known.

    The older runner's status is kept in Hydra's database, where it stays as it was when the runner dies; it says when it was written.
    """
    if not isinstance(answer, Mapping):
        raise FleetError("the answer is no JSON object")
    if isinstance(answer.get("queueRunner"), Mapping):
        return _newer(answer["queueRunner"])
    if answer.get("status") != "up":
        raise FleetError(f"the queue runner is not up: its status is {_word(answer.get('status'))}")
    written = answer.get("time")
    if written is not None and abs(now - _count(answer, "time", "the answer")) > max_age:
        raise FleetError(f"the status is {now - written:.0f} seconds old by this host's clock, more than {max_age:.0f}")
    return _older(answer)


def _older(answer: Mapping[str, Any]) -> list[Waiting]:
    types = answer.get("machineTypes")
    if not isinstance(types, Mapping):
        raise FleetError("the answer has no machineTypes")
    return sorted(_older_type(name, counts) for name, counts in types.items())


def _older_type(name: str, counts: Any) -> Waiting:
    system, _colon, features = name.partition(":")
    _check_system(system, f"machineTypes {name!r}")
    where = f"machineTypes[{name!r}]"
    return Waiting(
        system,
        sorted({feature for feature in features.split(",") if feature} - {LOCAL}),
        _count(counts, "runnable", where),
        _count(counts, "running", where),
    )


def _newer(runner: Mapping[str, Any]) -> list[Waiting]:
    if runner.get("status") != "up":
        raise FleetError(f"the queue runner is not up: its status is {_word(runner.get('status'))}")
    stats = runner.get("queueStats")
    if not isinstance(stats, Mapping):
        raise FleetError("the answer has no queueRunner.queueStats")
    return sorted(_newer_type(system, counts) for system, counts in stats.items())


def _newer_type(system: str, counts: Any) -> Waiting:
    _check_system(system, f"queueStats {system!r}")
    where = f"queueStats[{system!r}]"
    total, active = _count(counts, "totalRunnable", where), _count(counts, "activeRunnable", where)
    # The two are counted one after the other, so that a step may just have ended.
    return Waiting(system, None, max(0, total - active), active)


def _check_system(system: str, where: str) -> None:
    if not system:
        raise FleetError(f"{where} names no system")


def _count(counts: Any, field: str, where: str) -> int:
    value = counts.get(field) if isinstance(counts, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FleetError(f"{where}.{field} is {_word(value)}, not a count")
    return value


def _word(value: Any) -> str:
    return "missing" if value is None else repr(value)[:60]
