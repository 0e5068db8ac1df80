# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many builds run, from Hydra's status: that of the legacy queue runner (C++) and that of the new one (Rust).

The legacy one is what `hydra-queue-runner --status` prints and Hydra's web server answers at /queue-runner-status: machines by the
name of column 1 of the machines file, each with currentJobs. The new one, of the queue runner's own /status, has machines by
hostname, each with its jobs and stats.currentJobs. Both are told by their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import (
    JobsError,
    JobsReading,
    JobsTarget,
    Readings,
    all_unknown,
    count_from,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.http_json import HttpJsonError

SOURCE = "hydra"


def read_jobs(ask: Callable[[], Any], targets: Iterable[JobsTarget]) -> Readings:
    """Ask Hydra once for all builders."""
    wanted = list(targets)
    try:
        machines = machines_of(ask())
    except (JobsError, HttpJsonError) as error:
        return all_unknown(wanted, SOURCE, str(error))
    return {target.id: _judged(machines, target) for target in wanted}


def machines_of(status: Any) -> Mapping[str, Any]:
    """The machines of a status, by name; an error when the queue runner is not known to be at work."""
    if not isinstance(status, Mapping):
        raise JobsError("Hydra's status is not an object")
    runner = status.get("queueRunner")
    word = runner.get("status") if isinstance(runner, Mapping) else status.get("status")
    if word != "up":
        raise JobsError(f"Hydra's queue runner is {word or 'of no known status'}, not up")
    machines = status.get("machines")
    if not isinstance(machines, Mapping):
        raise JobsError("Hydra's status tells of no machines")
    return machines


def _judged(machines: Mapping[str, Any], target: JobsTarget) -> JobsReading:
    if target.problem or not target.label:
        return _unknown(target, target.problem or "it has no label to look for")
    if target.label not in machines:
        names = sorted(map(str, machines))
        told = f"there are {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else "it has none"
        return _unknown(target, f"Hydra's status has no machine {target.label}; {told}")
    jobs = _jobs(machines[target.label])
    if jobs is None:
        return _unknown(target, f"Hydra's status does not say how many jobs {target.label} has")
    return JobsReading(jobs, SOURCE, target.label)


def _unknown(target: JobsTarget, reason: str) -> JobsReading:
    return JobsReading(None, SOURCE, target.label, reason)


def _jobs(machine: Any) -> int | None:
    """What an entry says. Where the new runner both counts and lists its jobs, the greater number counts."""
    if not isinstance(machine, Mapping):
        return None
    stats = machine.get("stats")
    if not isinstance(stats, Mapping):
        return count_from(machine.get("currentJobs"))
    counted, listed = count_from(stats.get("currentJobs")), machine.get("jobs", [])
    if counted is None or not isinstance(listed, list):
        return None
    return max(counted, len(listed))
