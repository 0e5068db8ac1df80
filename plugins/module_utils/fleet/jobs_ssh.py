# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many builds run, from the builders themselves over SSH."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import JobsReading, JobsTarget, Readings
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.ssh_facts import SshFacts

SOURCE = "ssh"
NOT_TOLD = (
    "it does not know how many builds it runs (facts.sh finds no group of build users, or may not see their processes)"
)


def read_jobs(ask: Callable[[Iterable[JobsTarget]], dict[str, SshFacts]], targets: Iterable[JobsTarget]) -> Readings:
    """Ask each builder."""
    wanted = list(targets)
    answers = ask([target for target in wanted if not target.problem])
    return {target.id: _reading(target, answers.get(target.id)) for target in wanted}


def _reading(target: JobsTarget, said: SshFacts | None) -> JobsReading:
    if said is None:
        return JobsReading(None, SOURCE, target.label, target.problem or "it was not asked")
    reason = said.problem or (NOT_TOLD if said.jobs is None else None)
    return JobsReading(None if said.problem else said.jobs, SOURCE, target.label, reason, said.boot_id, said.image_id)
