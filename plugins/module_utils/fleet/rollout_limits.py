# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many machines of a rollout may be out of service at once, and which of them go next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import near_end
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout_step import (
    Facts,
    RolloutSettings,
    Step,
    is_ours,
)

BIG = "big-parallel"


def begin(step: Step, known: Mapping[str, Facts], settings: RolloutSettings, now: float) -> None:
    """Take further machines out of service, within the limits."""
    # One that was never begun with, because it does not answer, says nothing of the image.
    failed = [name for name in step.failed if step.memory[name].get("begun") is not None]
    step.stopped = len(failed) > settings.max_failures or (bool(failed) and not _canaries_done(step, settings, failed))
    if step.stopped:
        step.waiting, step.unanswered = [*step.waiting, *step.unanswered], []
        return
    room = {url: _limit(step, known, settings, url) - _out(step, known, settings, url) for url in settings.images}
    for name in sorted(step.waiting):
        facts = known[name]
        if room[facts["builder_boot_url"]] > 0 and _spares_big_ones(step, known, settings, facts, now):
            room[facts["builder_boot_url"]] -= 1
            step.drain.append(name)
            step.memory[name]["begun"] = now
    step.waiting = [name for name in step.waiting if name not in step.drain]


def _canaries_done(step: Step, settings: RolloutSettings, failed: Sequence[str]) -> bool:
    """Of each channel in which a machine failed: those of another channel boot another image, and say nothing of this one."""
    done = [step.memory[name].get("channel") for name in step.done]
    return all(done.count(step.memory[name].get("channel")) >= settings.canaries for name in failed)


def _limit(step: Step, known: Mapping[str, Facts], settings: RolloutSettings, url: str) -> int:
    """How many machines of a channel may be out of service at once."""
    members = [name for name, facts in known.items() if facts["builder_boot_url"] == url and name in step.memory]
    done = sum(1 for name in members if step.memory[name].get("done") or (name in step.done))
    word = settings.at_once.strip()
    limit = max(1, int(len(members) * float(word[:-1]) / 100)) if word.endswith("%") else int(word)
    return min(limit, settings.canaries) if done < settings.canaries else limit


def _out(step: Step, known: Mapping[str, Facts], settings: RolloutSettings, url: str) -> int:
    """How many of them are: those of another run of ours too, but not those that this run has given up."""
    hands = step.under_way
    return sum(
        1
        for name, facts in known.items()
        if facts["builder_boot_url"] == url and name not in step.failed and (name in hands or is_ours(facts, settings))
    )


def is_big(facts: Facts) -> bool:
    """Whether builds that want many cores are sent here."""
    return BIG in facts["builder_features"] or BIG in facts["builder_mandatory_features"]


def _spares_big_ones(
    step: Step, known: Mapping[str, Facts], settings: RolloutSettings, facts: Facts, now: float
) -> bool:
    """Whether another big-parallel machine of its systems goes on serving; a fleet that has one only cannot be spared it."""
    if not is_big(facts):
        return True
    alike = [other for other in known.values() if _is_alike(other, facts, settings)]
    out = {*step.under_way, *step.failed, facts["builder_id"]}
    until = now + settings.horizon_seconds
    return len(alike) == 1 or any(other["builder_id"] not in out and _serves(other, until) for other in alike)


def _is_alike(other: Facts, facts: Facts, settings: RolloutSettings) -> bool:
    same_systems = set(other["builder_systems"]) & set(facts["builder_systems"])
    return is_big(other) and other["builder_fleet"] == settings.fleet and bool(same_systems)


def _serves(facts: Facts, until: float) -> bool:
    """The machines file names none that has published no host key, and none that is about to be reclaimed."""
    in_service = facts["builder_state"] == "active" and not facts["builder_draining"]
    return in_service and bool(facts["builder_host_key"]) and near_end(facts, until) is None
