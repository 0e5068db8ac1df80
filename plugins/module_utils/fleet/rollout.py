# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each machine of a rollout needs next, by its facts, its tags and what was proved of it: a pure function, asked again and again.

Everything that counts is on the machines: the drain's tags say that a machine is taken out, the tag rebooting-from=BOOT that it was
proved idle and is to leave that boot. The memory holds clocks and numbers of tries, and may be lost with the controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import drains
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import near_end
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout_limits import begin
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout_step import (
    Facts,
    Memory,
    Proofs,
    RolloutSettings,
    Step,
    is_ours,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.selection import IDLE_STATES

NOTHING_TOLD = "it has published no boot id"
ASKS = 3  # how often in a row a machine that publishes nothing is asked, before it is given up


def next_step(
    builders: Sequence[Facts], ids: Sequence[str], settings: RolloutSettings, memory: Memory, proofs: Proofs, now: float
) -> Step:
    """Look at every machine, and begin with as many new ones as may be out of service."""
    known = {facts["builder_id"]: _with_boot(facts, proofs) for facts in builders}
    step = Step({name: dict(kept) for name, kept in memory.items()})
    for name in proofs.sent:
        _count_reboot(step, name, now)
    for name, problem in proofs.refused.items():
        _count_refusal(step, name, problem)
    for name in ids:
        _judge(step, name, known.get(name), settings, proofs, now)
    begin(step, known, settings, now)
    published = {facts["builder_id"]: facts for facts in builders}
    step.ask = [name for name in ids if name in published and _could_tell(published[name]) and not _left(step, name)]
    step.note = {
        name: [f"{drains.REBOOT_PREFIX}{_said_boot(name, proofs) or known[name]['builder_boot_id']}"]
        for name in step.reboot
        if drains.rebooting_from(known[name]) is None
    }
    return step


def _with_boot(facts: Facts, proofs: Proofs) -> Facts:
    """The facts, with what the machine said over SSH where it has published nothing."""
    told = proofs.boots.get(facts["builder_id"]) or {}
    if facts["builder_boot_id"] or not told.get("boot_id"):
        return facts
    return {**facts, "builder_boot_id": told["boot_id"], "builder_image_id": told.get("image_id")}


def _left(step: Step, name: str) -> bool:
    """Nothing that it could tell would change what becomes of it."""
    kept = step.memory[name]
    return bool(kept.get("done") or "failed" in kept or name in step.skipped)


def _could_tell(facts: Facts) -> bool:
    """Whoever publishes nothing is asked at each look: what it told before may be past."""
    return bool(not facts["builder_boot_id"] and facts["builder_host_key"] and facts["builder_state"] == "active")


def _judge(step: Step, name: str, facts: Facts | None, settings: RolloutSettings, proofs: Proofs, now: float) -> None:
    kept = step.memory.setdefault(name, {})
    if facts is not None:
        kept["channel"] = facts["builder_boot_url"]
        if facts["builder_boot_id"]:
            kept.pop("unanswered", None)
    if "failed" in kept:
        _owed(step, name, kept, facts, settings, proofs)
        step.failed[name] = kept["failed"]
    elif kept.get("done"):
        _done(step, name, facts, settings)
    elif facts is None:
        _gone(step, name, kept)
    elif is_ours(facts, settings):
        _continue(step, name, facts, settings, proofs, now)
    else:
        _not_begun(step, name, facts, settings, proofs, now)


def _done(step: Step, name: str, facts: Facts | None, settings: RolloutSettings) -> None:
    """Its test build passed. Tags that are still there were not lifted yet, and those of a machine that goes cannot be any more."""
    if facts is None or not is_ours(facts, settings):
        step.done.append(name)
    elif facts["builder_state"] in IDLE_STATES:
        _fail(step, name, f"it is {facts['builder_state']}")
    else:
        step.restore.append(name)


def _owed(
    step: Step, name: str, kept: dict[str, Any], facts: Facts | None, settings: RolloutSettings, proofs: Proofs
) -> None:
    """To put a machine that failed back into service, or to terminate it, is done again while its tags say that it was not done."""
    if facts is None or not is_ours(facts, settings) or "owes" not in kept:
        return
    if kept["owes"] == "restore":
        if facts["builder_state"] not in IDLE_STATES:
            step.restore.append(name)
    elif _lives(name, kept.get("left") or drains.rebooting_from(facts), facts, proofs):
        del kept["owes"]
        kept["failed"] = "it came back too late, and stays drained"
    elif facts["builder_state"] not in IDLE_STATES:
        step.give_up.append(name)


def _gone(step: Step, name: str, kept: dict[str, Any]) -> None:
    if kept.get("begun") is not None:
        _fail(step, name, "it is gone, reclaimed or terminated by somebody else")
    else:
        step.skipped[name] = "it is gone"


def _not_begun(step: Step, name: str, facts: Facts, settings: RolloutSettings, proofs: Proofs, now: float) -> None:
    reason = why_not(facts, settings, now)
    begun = step.memory[name].get("begun")
    if reason == NOTHING_TOLD and _could_tell(facts):
        _unanswered(step, name, proofs)
    elif reason:
        if begun is not None:
            _fail(step, name, reason)
        else:
            step.skipped[name] = reason
    elif drains.rebooting_from(facts) is not None:
        step.restore.append(name)  # somebody has lifted the drain alone: the note tells of an idleness that is past
    elif facts["builder_image_id"] == settings.images[facts["builder_boot_url"]] and not settings.again:
        step.done.append(name)
    else:
        step.waiting.append(name)


def _unanswered(step: Step, name: str, proofs: Proofs) -> None:
    """One answer that did not come says nothing: it is asked again, a few times, before it counts as failed."""
    kept = step.memory[name]
    if name in proofs.boots:
        kept["unanswered"] = kept.get("unanswered", 0) + 1
    if kept.get("unanswered", 0) < ASKS:
        step.unanswered.append(name)
    else:
        problem = (proofs.boots.get(name) or {}).get("problem") or "no answer"
        _fail(step, name, f"it did not answer over SSH, asked {ASKS} times ({problem}), and is left as it is")


def why_not(facts: Facts, settings: RolloutSettings, now: float) -> str | None:
    """Why a machine is left as it is."""
    end = near_end(facts, now + settings.horizon_seconds)
    others = [owner for owner in drains.owners(facts, settings.tag) if owner != settings.owner]
    reasons = [
        (facts["builder_fleet"] != settings.fleet, f"it is not of the fleet {settings.fleet}"),
        (bool(others), f"it is drained by {', '.join(others)}"),
        (facts["builder_state"] != "active", f"its state is {facts['builder_state']}"),
        (end is not None, f"it will be reclaimed at {end}"),
        (
            facts["builder_boot_url"] not in settings.images,
            f"it boots {facts['builder_boot_url']}, which is no channel of ours",
        ),
        (not facts["builder_boot_id"], NOTHING_TOLD),
    ]
    return next((reason for applies, reason in reasons if applies), None)


def _continue(step: Step, name: str, facts: Facts, settings: RolloutSettings, proofs: Proofs, now: float) -> None:
    """A machine that this rollout, now or before the controller died, has taken out of service."""
    kept = step.memory[name]
    kept.setdefault("begun", now)
    reclaimed = near_end(facts, now + settings.horizon_seconds) is not None
    expected = settings.images.get(facts["builder_boot_url"])
    left = drains.rebooting_from(facts)
    if reclaimed or facts["builder_state"] in IDLE_STATES:
        state = "will be reclaimed" if reclaimed else f"is {facts['builder_state']}"
        _fail(step, name, f"it {state}")
    elif expected is None:
        _fail(step, name, f"it boots {facts['builder_boot_url']}, which is no channel of ours")
    elif left is not None:
        _rebooting(step, name, left, facts, settings, proofs, now)
    elif facts["builder_image_id"] == expected and not settings.again:
        _proved(step, name, settings, proofs)
    else:
        _draining(step, name, settings, proofs, now)


def _draining(step: Step, name: str, settings: RolloutSettings, proofs: Proofs, now: float) -> None:
    """Only what SSH has told of its boot is rebooted, because what comes back is proved by nothing else."""
    kept = step.memory[name]
    late = now - kept["begun"] > settings.drain_seconds and settings.drain_policy != "wait"
    proved = name in proofs.idle and name not in proofs.busy
    idle = proved or (late and settings.drain_policy == "proceed")
    if idle and not _said_boot(name, proofs):
        step.silent[name] = (proofs.boots.get(name) or {}).get("problem") or "it did not say which boot it runs"
    if idle and name not in step.silent:
        step.reboot.append(name)
        kept["leaving"] = _said_boot(name, proofs)
    elif late:
        step.restore.append(name)
        kept["owes"] = "restore"
        asked = (
            f"it did not say over SSH which boot it runs ({step.silent[name]})" if idle else "it was not proved idle"
        )
        _fail(step, name, f"{asked} within {settings.drain_seconds:g} seconds, and is in service again")
    else:
        step.wait_idle.append(name)


def _said_boot(name: str, proofs: Proofs) -> str | None:
    return (proofs.boots.get(name) or {}).get("boot_id")


def _count_reboot(step: Step, name: str, now: float) -> None:
    """A reboot counts when it was asked for: one that failed on its way is none, and neither is one that was only planned."""
    kept = step.memory.setdefault(name, {})
    kept["tries"] = kept.get("tries", 0) + 1
    kept["rebooted"] = now
    kept.pop("refusals", None)
    if "leaving" in kept:
        kept["left"] = kept.pop("leaving")


def _count_refusal(step: Step, name: str, problem: str) -> None:
    """A reboot that could not be asked for: the API's trouble, or a machine that takes its reboot over SSH and does not answer."""
    kept = step.memory.setdefault(name, {})
    kept["refusals"] = kept.get("refusals", 0) + 1
    kept["refusal"] = problem


def _rebooting(
    step: Step, name: str, left: str, facts: Facts, settings: RolloutSettings, proofs: Proofs, now: float
) -> None:
    """Asked to reboot, after idleness was proved. What is known to be busy all the same is not asked again."""
    kept, boot = step.memory[name], proofs.boots.get(name) or {}
    expected = settings.images[facts["builder_boot_url"]]
    left = kept.get("left") or left
    elapsed = now - kept.setdefault("rebooted", now)
    refused = kept.get("refusals", 0) >= settings.ask_tries
    seen = boot.get("boot_id")
    if seen and seen != left:
        if boot.get("image_id") == expected:
            _proved(step, name, settings, proofs)
        elif not kept.get("tries") and refused:
            _not_back(step, name, left, facts, settings, proofs)
        elif not kept.get("tries"):  # a run before this one asked it, and a newer image was published since
            kept["rebooted"] = now
            _draining(step, name, settings, proofs, now)
        else:
            _fail(step, name, f"it has booted {boot.get('image_id')}, not {expected}, and stays drained")
    elif name in proofs.busy:
        step.prove.append(name)
    elif seen and kept.get("refusals") and not refused:
        step.reboot.append(name)  # it runs on, because it was not asked
    elif elapsed <= (settings.down_seconds if seen else settings.boot_seconds) and not (seen and refused):
        step.prove.append(name)  # a request that was told as refused may have been heard all the same
    elif refused or kept.get("tries", 0) >= settings.reboot_tries:
        _not_back(step, name, left, facts, settings, proofs)
    else:
        step.reboot.append(name)


def _lives(name: str, left: str | None, facts: Facts, proofs: Proofs) -> bool:
    """It answers over SSH, or has published another boot than the one it was to leave."""
    published = facts["builder_boot_id"]
    return bool(_said_boot(name, proofs) or (published and published != left))


def _not_back(step: Step, name: str, left: str, facts: Facts, settings: RolloutSettings, proofs: Proofs) -> None:
    """Given up is only what nothing says of that it lives."""
    kept, published = step.memory[name], facts["builder_boot_id"]
    problem = (proofs.boots.get(name) or {}).get("problem") or "no answer"
    asked = _asked(kept)
    if _said_boot(name, proofs):
        _fail(step, name, f"it did not go down in time, {asked}, and stays drained")
    elif _lives(name, left, facts, proofs):
        _fail(
            step,
            name,
            f"it has published the boot {published}, but does not prove it over SSH ({problem}), and stays drained",
        )
    else:
        step.give_up.append(name)
        if settings.unreturned == "terminate":
            kept["owes"] = "give_up"
        _fail(step, name, f"it did not come back in time, {asked}")


def _asked(kept: dict[str, Any]) -> str:
    asked = f"asked to reboot {kept.get('tries', 0)} times"
    return (
        f"{asked}, and {kept['refusals']} times it could not be asked ({kept['refusal']})"
        if kept.get("refusals")
        else asked
    )


def _proved(step: Step, name: str, settings: RolloutSettings, proofs: Proofs) -> None:
    """It runs the expected image; whether it can build is seen by a build."""
    kept = step.memory[name]
    problem = proofs.verified.get(name)
    if problem == "":
        step.restore.append(name)
        kept["done"] = True
    elif problem is not None and kept.get("verifications", 0) >= settings.verify_tries:
        _fail(step, name, f"its test build failed, and it stays drained: {problem}")
    else:
        kept["verifications"] = kept.get("verifications", 0) + 1
        step.verify.append(name)


def _fail(step: Step, name: str, reason: str) -> None:
    step.memory[name]["failed"] = reason
    step.failed[name] = reason
