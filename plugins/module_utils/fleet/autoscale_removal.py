# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which machines go, and why each of the others stays."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_machines import Machine
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_need import Targets
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import SizeClass


def not_ours_to_touch(machine: Machine) -> str:
    """Why the autoscaler leaves a machine alone whatever it does; empty when it may act on it."""
    if machine.problem:
        return machine.problem
    if machine.request is not None:
        return f"belongs to the request {machine.request}"
    if not machine.ours:
        return "was not bought by the autoscaler"
    if machine.drained == "theirs":
        return "is drained by somebody else"
    return "will be reclaimed by the provider" if machine.doomed else ""


def not_idle(machine: Machine) -> str:
    """Why a machine may be doing something; empty when it is known to do nothing."""
    if machine.jobs is None:
        return f"not known to be idle: {machine.jobs_reason}"
    return f"busy: {machine.jobs} jobs" if machine.jobs else ""


class Removals:
    """Collects what goes, class after class, at most `most` machines in all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.removals: list[tuple[Machine, str]] = []
        self.drains: list[tuple[Machine, str]] = []
        self.kept: dict[str, str] = {}

    def consider(
        self, size: SizeClass, machines: Sequence[Machine], targets: Targets | None, restored: set[str]
    ) -> None:
        """The machines of one class. One whose need is not known is left as it is."""
        if targets is None:
            return
        mine = [machine for machine in machines if not not_ours_to_touch(machine) and machine.id not in restored]
        self._finish([machine for machine in mine if machine.drained == "ours"])
        self._stuck([machine for machine in mine if not machine.drained and machine.stuck])
        serving = [machine for machine in mine if not machine.drained and not machine.stuck]
        self._surplus(size, machines, serving, targets)
        going = {machine.id for machine, _reason in self.removals + self.drains}
        if not any(machine.drained == "ours" or machine.id in going for machine in mine):
            self._forced(serving)

    def _finish(self, drained: Sequence[Machine]) -> None:
        for machine in drained:
            why_not = not_idle(machine) or ("" if machine.state == "active" else f"its state is {machine.state}")
            if why_not:
                self.kept[machine.id] = f"draining, {why_not}"
            else:
                self._remove(machine, "drained by the autoscaler and idle")

    def _stuck(self, stuck: Sequence[Machine]) -> None:
        for machine in stuck:
            if machine.jobs:
                self.kept[machine.id] = f"its state is {machine.state}, but it is busy: {machine.jobs} jobs"
                continue
            hours = "" if machine.age is None else f" for {machine.age / 3600:.1f} hours"
            self._remove(machine, f"its state is {machine.state}{hours}: it will not build")

    def _surplus(
        self, size: SizeClass, machines: Sequence[Machine], serving: Sequence[Machine], targets: Targets
    ) -> None:
        building = sum(machine.builds for machine in machines)
        if targets.at_most is None:
            self._keep(serving, "the readings do not reach back over cool_down_seconds without a gap")
            return
        surplus = max(0, building - targets.at_most)
        words = f"{building} there, {targets.at_most} wanted at most"
        # An old machine has the first claim, even a busy one: else its successor, idle so far, would go in its place.
        claims = sorted((machine for machine in serving if machine.old), key=_order)[:surplus]
        for machine in claims:
            self._replaced(machine, words)
        rest = sorted((machine for machine in serving if machine not in claims), key=_order)
        self._idle(size, rest, surplus - len(claims), words)

    def _replaced(self, machine: Machine, words: str) -> None:
        if machine.jobs is None:
            self.kept[machine.id] = f"beyond max_age_seconds, but {not_idle(machine)}"
        elif not machine.builds:
            self.kept[machine.id] = f"beyond max_age_seconds, but its state is {machine.state}"
        elif machine.jobs == 0:
            self._remove(machine, f"{words}; beyond max_age_seconds")
        elif self._room():
            self.drains.append((machine, f"{words}; beyond max_age_seconds, {not_idle(machine)}: takes no new builds"))

    def _idle(self, size: SizeClass, rest: Sequence[Machine], number: int, words: str) -> None:
        for machine in rest:
            why_not = not_idle(machine) or ("" if machine.builds else "not up yet") or _paid_for(machine, size)
            if number <= 0:
                self.kept[machine.id] = f"needed: {words}"
            elif why_not:
                self.kept[machine.id] = f"too many ({words}), but {why_not}"
            elif self._remove(machine, f"{words}; {'of another image' if machine.other_image else 'idle'}"):
                number -= 1

    def _forced(self, serving: Sequence[Machine]) -> None:
        """One machine at a time is drained for its age alone, and removed by a later run when it is known to be idle."""
        aged = [machine for machine in serving if machine.forced and machine.jobs is not None]
        if aged and self._room():
            oldest = max(aged, key=lambda machine: (machine.age or 0, machine.id))
            self.drains.append((oldest, "beyond forced_age_seconds: takes no new builds, and goes when it is idle"))

    def _keep(self, machines: Sequence[Machine], reason: str) -> None:
        self.kept.update({machine.id: reason for machine in machines})

    def _remove(self, machine: Machine, reason: str) -> bool:
        if not self._room():
            self.kept[machine.id] = f"to go ({reason}), but {self._most} machines go in one run at most"
            return False
        self.removals.append((machine, reason))
        return True

    def _room(self) -> bool:
        return len(self.removals) + len(self.drains) < self._most


def why_kept(machine: Machine, why: str | None) -> str:
    """The reason of a machine that stays."""
    words = not_ours_to_touch(machine) or why or ("needed" if machine.size else "does the work of no class")
    return words if machine.jobs is None or "busy" in words else f"{words} ({machine.jobs} jobs)"


def _order(machine: Machine) -> tuple[bool, bool, float, str]:
    """Old machines go first, then those of another image, then the oldest."""
    return (not machine.old, not machine.other_image, -(machine.age or 0), machine.id)


def _paid_for(machine: Machine, size: SizeClass) -> str:
    """Time that is paid for already is used."""
    period = size.billing_period_seconds
    if not period:
        return ""
    if machine.age is None:
        return "it is not known when its billing period ends"
    left = period - machine.age % period
    return f"paid for {left / 60:.0f} minutes more" if left > size.billing_margin_seconds else ""
