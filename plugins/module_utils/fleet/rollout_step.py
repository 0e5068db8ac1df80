# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollout is told, and what it answers: settings, proofs, and the next step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import drains
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import HORIZON_SECONDS

Facts = Mapping[str, Any]
Memory = dict[str, dict[str, Any]]


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
    ask_tries: int = 5  # how often in a row a machine is asked to reboot that cannot be asked
    verify_tries: int = 2
    drain_seconds: float = 43200.0
    drain_policy: str = "fail"
    unreturned: str = "terminate"  # or keep
    again: bool = False  # reboot also what runs the expected image
    horizon_seconds: float = (
        HORIZON_SECONDS  # a machine that will be taken back is one that goes only when it is this near
    )


@dataclasses.dataclass(frozen=True)
class Proofs:
    """What was found out since the last step. Idle is proved by the jobs, a boot by SSH with the published key."""

    idle: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    boots: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    verified: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the problem, empty for none
    sent: frozenset[str] = frozenset()  # whose reboot was asked for, without an error
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)  # whose reboot could not be asked for, and why


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
    # Those of them that have not answered, and are asked again before anything is decided about them.
    unanswered: list[str] = dataclasses.field(default_factory=list)
    # Tags by machine, to be set before the reboots: which boot each machine leaves, where that is not noted yet.
    note: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    stopped: bool = False

    @property
    def under_way(self) -> list[str]:
        """The machines that the rollout has in its hands. With none of them nothing more can happen: what waits is held back."""
        return sorted({*self.drain, *self.wait_idle, *self.reboot, *self.prove, *self.verify, *self.restore})

    @property
    def finished(self) -> bool:
        return not self.under_way and not self.give_up and not self.unanswered


def checked(settings: RolloutSettings) -> RolloutSettings:
    """The settings, or an error that names the one that makes no sense."""
    drains.check_owner(settings.owner)
    word = settings.at_once.strip()
    number = word[:-1] if word.endswith("%") else word
    if not number.isdigit() or int(number) < 1 or (word.endswith("%") and int(number) > 100):
        raise FleetError(
            f"builder_rollout_at_once: {settings.at_once!r} is neither a number of machines nor a percentage, such as 2 or 10%"
        )
    if settings.ask_tries < 1:
        raise FleetError(f"builder_rollout_action_tries: {settings.ask_tries} is no number above 0")
    if settings.drain_policy not in ("fail", "proceed", "wait"):
        raise FleetError(f"builder_drain_policy: {settings.drain_policy!r} is not fail, proceed or wait")
    return settings


def is_ours(facts: Facts, settings: RolloutSettings) -> bool:
    """The owner's name alone, left by somebody who lifted the drain tag by hand, keeps no builds away."""
    return bool(facts["builder_draining"]) and drains.owners(facts, settings.tag) == [settings.owner]
