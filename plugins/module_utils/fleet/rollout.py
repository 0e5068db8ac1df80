# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each machine of a rollout needs next, by its facts, its tags and what was proved of it: a pure function, asked again and again.

Everything that counts is on the machines: the drain's tags say that a machine is taken out, the tag rebooting-from=BOOT that it was
proved idle and is to leave that boot. The memory holds clocks and numbers of tries, and may be lost with the controller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import drains
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.selection import IDLE_STATES

Facts = Mapping[str, Any]
Memory = dict[str, dict[str, Any]]
BIG = "big-parallel"


@dataclasses.dataclass(frozen=True)
class RolloutSettings:
    """What an operator decides. Times are seconds."""

    fleet: str
    owner: str
    images: Mapping[str, str]  # the expected image by the script that a machine boots
    tag: str = "skip-hydra"
    at_once: str = "1"  # a number, or a percentage of the machines of a channel
    canaries: int = 1
    max_failures: int = 1
    down_seconds: float = 300.0
    boot_seconds: float = 1800.0
    reboot_tries: int = 2
    verify_tries: int = 2
    drain_seconds: float = 43200.0
    drain_policy: str = "fail"
    unreturned: str = "terminate"  # or keep
    again: bool = False  # reboot also what runs the expected image


@dataclasses.dataclass(frozen=True)
class Proofs:
    """What was found out since the last step. Idle is proved by the jobs, a boot by SSH with the published key."""

    idle: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    boots: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    verified: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the problem, empty for none
    sent: frozenset[str] = frozenset()  # whose reboot was asked for, without an error


@dataclasses.dataclass
class Step:
    """What to do now, and what is known."""

    memory: Memory
    drain: list[str] = dataclasses.field(default_factory=list)
    wait_idle: list[str] = dataclasses.field(default_factory=list)
    reboot: list[str] = dataclasses.field(default_factory=list)
    prove: list[str] = dataclasses.field(default_factory=list)
    verify: list[str] = dataclasses.field(default_factory=list)
    restore: list[str] = dataclasses.field(default_factory=list)
    give_up: list[str] = dataclasses.field(default_factory=list)
    done: list[str] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    waiting: list[str] = dataclasses.field(default_factory=list)
    # Idle, but not rebooted: a machine that does not say which boot it runs could not prove a new one. The reason by machine.
    silent: dict[str, str] = dataclasses.field(default_factory=dict)
    # Machines that publish nothing of their boot, as one's own may, and so are asked.
    ask: list[str] = dataclasses.field(default_factory=list)
    leaving: dict[str, str] = dataclasses.field(default_factory=dict)
    stopped: bool = False

    @property
    def under_way(self) -> list[str]:
        """The machines that the rollout has in its hands. With none of them nothing more can happen: what waits is held back."""
        return sorted({*self.drain, *self.wait_idle, *self.reboot, *self.prove, *self.verify, *self.restore})

    @property
    def finished(self) -> bool:
        return not self.under_way and not self.give_up


def checked(settings: RolloutSettings) -> RolloutSettings:
    """The settings, or an error that names the one that makes no sense."""
    drains.check_owner(settings.owner)
    word = settings.at_once.strip()
    number = word[:-1] if word.endswith("%") else word
    if not number.isdigit() or int(number) < 1 or (word.endswith("%") and int(number) > 100):
        raise FleetError(
            f"builder_rollout_at_once: {settings.at_once!r} is neither a number of machines nor a percentage, such as 2 or 10%"
        )
    if settings.drain_policy not in ("fail", "proceed", "wait"):
        raise FleetError(f"builder_drain_policy: {settings.drain_policy!r} is not fail, proceed or wait")
    return settings


def next_step(
    builders: Sequence[Facts], ids: Sequence[str], settings: RolloutSettings, memory: Memory, proofs: Proofs, now: float
) -> Step:
    """Look at every machine, and begin with as many new ones as may be out of service."""
    known = {facts["builder_id"]: _with_boot(facts, proofs) for facts in builders}
    step = Step({name: dict(kept) for name, kept in memory.items()})
    for name in proofs.sent:
        _count_reboot(step, name, now)
    for name in ids:
        _judge(step, name, known.get(name), settings, proofs, now)
    _begin(step, known, settings, now)
    step.ask = [name for name in ids if name in known and _could_tell(known[name])]
    step.leaving = {name: _said_boot(name, proofs) or known[name]["builder_boot_id"] for name in step.reboot}
    return step


def _with_boot(facts: Facts, proofs: Proofs) -> Facts:
    """The facts, with what the machine said over SSH where it has published nothing."""
    told = proofs.boots.get(facts["builder_id"]) or {}
    if facts["builder_boot_id"] or not told.get("boot_id"):
        return facts
    return {**facts, "builder_boot_id": told["boot_id"], "builder_image_id": told.get("image_id")}


def _could_tell(facts: Facts) -> bool:
    return bool(not facts["builder_boot_id"] and facts["builder_host_key"] and facts["builder_state"] == "active")


def _judge(step: Step, name: str, facts: Facts | None, settings: RolloutSettings, proofs: Proofs, now: float) -> None:
    kept = step.memory.setdefault(name, {})
    if facts is not None:
        kept["channel"] = facts["builder_boot_url"]
    if "failed" in kept:
        _owed(step, name, kept, facts, settings, proofs)
        step.failed[name] = kept["failed"]
    elif kept.get("done") and not (facts and _ours(facts, settings)):
        step.done.append(name)
    elif kept.get("done"):
        step.restore.append(name)  # its tags were not lifted yet
    elif facts is None:
        _gone(step, name, kept)
    elif _ours(facts, settings):
        _continue(step, name, facts, settings, proofs, now)
    else:
        _not_begun(step, name, facts, settings)


def _owed(
    step: Step, name: str, kept: dict[str, Any], facts: Facts | None, settings: RolloutSettings, proofs: Proofs
) -> None:
    """To put a machine that failed back into service, or to terminate it, is done again while its tags say that it was not done."""
    if facts is None or not _ours(facts, settings) or "owes" not in kept:
        return
    if kept["owes"] == "restore":
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


def _ours(facts: Facts, settings: RolloutSettings) -> bool:
    """The owner's name alone, left by somebody who lifted the drain tag by hand, keeps no builds away."""
    return bool(facts["builder_draining"]) and drains.owners(facts, settings.tag) == [settings.owner]


def _not_begun(step: Step, name: str, facts: Facts, settings: RolloutSettings) -> None:
    reason = why_not(facts, settings)
    begun = step.memory[name].get("begun")
    if reason:
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


def why_not(facts: Facts, settings: RolloutSettings) -> str | None:
    """Why a machine is left as it is."""
    spot = facts["builder_spot"] or {}
    others = [owner for owner in drains.owners(facts, settings.tag) if owner != settings.owner]
    reasons = [
        (facts["builder_fleet"] != settings.fleet, f"it is not of the fleet {settings.fleet}"),
        (bool(others), f"it is drained by {', '.join(others)}"),
        (facts["builder_state"] != "active", f"its state is {facts['builder_state']}"),
        (spot.get("termination_time") is not None, f"it will be reclaimed at {spot.get('termination_time')}"),
        (
            facts["builder_boot_url"] not in settings.images,
            f"it boots {facts['builder_boot_url']}, which is no channel of ours",
        ),
        (not facts["builder_boot_id"], "it has published no boot id"),
    ]
    return next((reason for applies, reason in reasons if applies), None)


def _continue(step: Step, name: str, facts: Facts, settings: RolloutSettings, proofs: Proofs, now: float) -> None:
    """A machine that this rollout, now or before the controller died, has taken out of service."""
    kept = step.memory[name]
    kept.setdefault("begun", now)
    spot = facts["builder_spot"] or {}
    expected = settings.images.get(facts["builder_boot_url"])
    left = drains.rebooting_from(facts)
    if spot.get("termination_time") is not None or facts["builder_state"] in IDLE_STATES:
        state = "will be reclaimed" if spot.get("termination_time") else f"is {facts['builder_state']}"
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
    if "leaving" in kept:
        kept["left"] = kept.pop("leaving")


def _rebooting(
    step: Step, name: str, left: str, facts: Facts, settings: RolloutSettings, proofs: Proofs, now: float
) -> None:
    """Asked to reboot, after idleness was proved. What is known to be busy all the same is not asked again."""
    kept, boot = step.memory[name], proofs.boots.get(name) or {}
    expected = settings.images[facts["builder_boot_url"]]
    left = kept.get("left") or left
    elapsed = now - kept.setdefault("rebooted", now)
    seen = boot.get("boot_id")
    if seen and seen != left:
        if boot.get("image_id") == expected:
            _proved(step, name, settings, proofs)
        elif not kept.get("tries"):  # a run before this one asked it, and a newer image was published since
            kept["rebooted"] = now
            _draining(step, name, settings, proofs, now)
        else:
            _fail(step, name, f"it has booted {boot.get('image_id')}, not {expected}, and stays drained")
    elif elapsed <= (settings.down_seconds if seen else settings.boot_seconds) or name in proofs.busy:
        step.prove.append(name)
    elif kept.get("tries", 0) < settings.reboot_tries:
        step.reboot.append(name)
    else:
        _not_back(step, name, left, facts, settings, proofs)


def _lives(name: str, left: str | None, facts: Facts, proofs: Proofs) -> bool:
    """It answers over SSH, or has published another boot than the one it was to leave."""
    published = facts["builder_boot_id"]
    return bool(_said_boot(name, proofs) or (published and published != left))


def _not_back(step: Step, name: str, left: str, facts: Facts, settings: RolloutSettings, proofs: Proofs) -> None:
    """Given up is only what nothing says of that it lives."""
    kept, published = step.memory[name], facts["builder_boot_id"]
    tries = kept.get("tries", 0)
    problem = (proofs.boots.get(name) or {}).get("problem") or "no answer"
    if _said_boot(name, proofs):
        _fail(step, name, f"it did not go down in time, asked to reboot {tries} times, and stays drained")
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
        _fail(step, name, f"it did not come back in time, asked to reboot {tries} times")


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


# -- how many at once ----------------------------------------------------------------------------


def _begin(step: Step, known: Mapping[str, Facts], settings: RolloutSettings, now: float) -> None:
    """Take further machines out of service, within the limits."""
    step.stopped = len(step.failed) > settings.max_failures or (
        bool(step.failed) and not _canaries_done(step, settings)
    )
    if step.stopped:
        return
    room = {url: _limit(step, known, settings, url) - _out(step, known, settings, url) for url in settings.images}
    for name in sorted(step.waiting):
        facts = known[name]
        if room[facts["builder_boot_url"]] > 0 and _spares_big_ones(step, known, settings, facts):
            room[facts["builder_boot_url"]] -= 1
            step.drain.append(name)
            step.memory[name]["begun"] = now
    step.waiting = [name for name in step.waiting if name not in step.drain]


def _canaries_done(step: Step, settings: RolloutSettings) -> bool:
    """Of each channel in which a machine failed: those of another channel boot another image, and say nothing of this one."""
    done = [step.memory[name].get("channel") for name in step.done]
    return all(done.count(step.memory[name].get("channel")) >= settings.canaries for name in step.failed)


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
        if facts["builder_boot_url"] == url and name not in step.failed and (name in hands or _ours(facts, settings))
    )


def is_big(facts: Facts) -> bool:
    """Whether builds that want many cores are sent here."""
    return BIG in facts["builder_features"] or BIG in facts["builder_mandatory_features"]


def _spares_big_ones(step: Step, known: Mapping[str, Facts], settings: RolloutSettings, facts: Facts) -> bool:
    """Whether another big-parallel machine of its systems goes on serving; a fleet that has one only cannot be spared it."""
    if not is_big(facts):
        return True
    alike = [other for other in known.values() if _is_alike(other, facts, settings)]
    out = {*step.under_way, *step.failed, facts["builder_id"]}
    return len(alike) == 1 or any(other["builder_id"] not in out and _serves(other) for other in alike)


def _is_alike(other: Facts, facts: Facts, settings: RolloutSettings) -> bool:
    same_systems = set(other["builder_systems"]) & set(facts["builder_systems"])
    return is_big(other) and other["builder_fleet"] == settings.fleet and bool(same_systems)


def _serves(facts: Facts) -> bool:
    """The machines file names none that has published no host key, and none that is about to be reclaimed."""
    reclaimed = (facts["builder_spot"] or {}).get("termination_time") is not None
    in_service = facts["builder_state"] == "active" and not facts["builder_draining"]
    return in_service and bool(facts["builder_host_key"]) and not reclaimed
