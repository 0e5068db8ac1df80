# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A long wait for idle builders, made of shorter ones, with lines that tell how far it is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs_watch import not_idle_words

from .progress_lines import duration

LONGEST_PART = 600.0
LONGEST_BREAK = 600.0  # seconds for which the host that asks may be out of reach
POLICIES = ("fail", "proceed", "wait")
Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class WaitOptions:
    """What the controller's part needs of the module's options."""

    timeout: float
    policy: str
    progress: float


def check_options(arguments: Mapping[str, Any]) -> WaitOptions:
    """The options, or an error that names the one that makes no sense. The module checks the others."""
    numbers = {}
    for name, default in (("timeout", 43200.0), ("progress", 30.0)):
        try:
            numbers[name] = float(arguments.get(name, default))
        except (TypeError, ValueError):
            raise AnsibleActionFail(f"builder_jobs_wait: {name} is no number of seconds") from None
    policy = arguments.get("policy", "fail")
    if policy not in POLICIES:
        raise AnsibleActionFail(f"builder_jobs_wait: policy is {policy!r}, not one of {', '.join(POLICIES)}")
    return WaitOptions(max(0.0, numbers["timeout"]), policy, max(1.0, numbers["progress"]))


@dataclasses.dataclass
class JobsWaiting:
    """One wait. `part` runs the module for a while and answers nothing when the connection broke."""

    options: WaitOptions
    part: Callable[[Result], Result | None]
    say: Callable[[str], None]
    now: Callable[[], float] = time.monotonic

    def run(self) -> Result:
        """Wait until the module says that it is finished, or until the time is over and the policy does not wait on."""
        begin, length, overdue = self.now(), self.options.progress, False
        seen: Result | None = None
        broken: float | None = None  # when the connection was first found broken, and has been since
        while True:
            left = begin + self.options.timeout - self.now()
            answer = self.part(self._arguments(length if overdue else min(length, max(left, 0.0)), seen))
            # What was seen before a connection broke does not count: nobody looked meanwhile.
            seen = answer["seen"] if answer and not answer.get("failed") else {}
            if answer and (answer.get("failed") or answer["finished"]):
                return answer
            elapsed = self.now() - begin
            late = elapsed >= self.options.timeout and self.options.policy != "wait"
            if answer:
                broken = None
                if late:
                    return answer
            else:
                broken = self.now() if broken is None else broken
                # A short break is no reason to fail for who goes on at the end of the time anyway, such as a rollout's short looks.
                if (late and self.options.policy == "fail") or self.now() - broken >= LONGEST_BREAK:
                    return _unreachable(self.now() - broken, elapsed)
            if elapsed >= self.options.timeout and not overdue and self.options.policy == "wait":
                overdue = True
                self.say(f"The {duration(self.options.timeout)} are over; waiting on, as the policy says.")
            if answer:
                self.say(line(answer, elapsed))
            # After a break parts are short again, so that an answer soon tells that it is over.
            length = min(length * 2, LONGEST_PART) if answer else self.options.progress

    @staticmethod
    def _arguments(timeout: float, seen: Result | None) -> Result:
        return {"timeout": timeout, "policy": "proceed", **({} if seen is None else {"seen": seen})}


def _unreachable(broken: float, elapsed: float) -> Result:
    """Nobody was there to look, so nothing is known of any machine, whatever the policy is."""
    return {
        "failed": True,
        "msg": (
            f"The host that asks the machines could not be reached when {duration(elapsed)} of the wait were over, nor in the"
            f" {duration(broken)} before, so no machine is proved idle. Bring that host back, or name another one that asks."
        ),
    }


def line(answer: Mapping[str, Any], elapsed: float) -> str:
    """How far the wait is."""
    builders, idle = answer["builders"], len(answer["idle"])
    return f"{idle} of {len(builders)} machines idle after {duration(elapsed)}; waiting for {not_idle_words(builders)}"
