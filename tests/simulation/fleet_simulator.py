# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet that the real decisions are played on: steps come, machines boot, build and go, and faults happen by a seed.

Only time is invented. What decides is `autoscale_plan`, given builder facts, a queue and jobs as the collection's readers tell them. A
machine that is to go is drained first, and ended only if it then does nothing, as role fleet_autoscale does.
"""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale import Readings, autoscale_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_order import autoscale_order
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import Settings
from fleet_history import Arrival, History
from fleet_world import READY

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CHANNELS = ({"name": "stable", "base_url": "http://192.0.2.1"},)
Kind = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Faults:
    """How likely each fault is, for each run of the autoscaler or each machine."""

    queue_down: float = 0.0
    jobs_down: float = 0.0
    jobs_renamed: float = 0.0
    api_error: float = 0.0
    stuck: float = 0.0
    failed: float = 0.0
    killed: float = 0.0
    state_lost: float = 0.0
    reclaimed: float = 0.0


@dataclass(frozen=True)
class Setup:
    """How the simulated world runs, beside the settings that are looked at."""

    tick_seconds: float = 60
    interval_seconds: float = 300
    boot_seconds: float = 600
    step_seconds: float = 120
    big_step_seconds: float = 2_400
    slots: int = 12
    faults: Faults = Faults()
    seed: int = 1
    foreign: int = 0
    requested: int = 0


@dataclass
class Machine:
    """One machine and what it builds: when each step ends."""

    facts: dict[str, Any]
    created: float
    up_at: float
    usd: float
    slots: int
    ends: list[float] = field(default_factory=list)
    own: bool = True

    @property
    def builds(self) -> bool:
        return self.facts["builder_state"] == "active" and not self.facts["builder_draining"]


@dataclass
class Report:
    """What came of it."""

    waits: list[float] = field(default_factory=list)
    usd: float = 0.0
    machine_hours: float = 0.0
    bought: int = 0
    removed: int = 0
    reclaimed: int = 0
    runs: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    series: list[tuple[float, int, int, float]] = field(default_factory=list)
    waiting_at_end: int = 0
    most_machines: int = 0
    most_usd_per_hour: float = 0.0

    def waited(self, part: float) -> float:
        """How long the quickest `part` of the steps waited at most, in seconds."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Simulator:
    """Plays a history."""

    def __init__(self, history: History, settings: Settings, setup: Setup = Setup()) -> None:
        self.history = history
        self.settings = settings
        self.setup = setup
        self.report = Report()
        self.machines: dict[str, Machine] = {}
        self.queue: dict[Kind, deque[float]] = {}
        self._dice = random.Random(setup.seed)
        self._state: Any = None
        self._number = 0
        for _count in range(setup.foreign):
            self._add({"builder_fleet": "other", "builder_tags": ["nixmetal-fleet=other"]}, own=False)
        for _count in range(setup.requested):
            spot = {"request_id": "r1", "bid": "base", "termination_time": None}
            self._add({"builder_spot": spot, "builder_tags": ["nixmetal-fleet=lab", "nixmetal-bid=base"]}, own=False)

    def run(self) -> Report:
        """From the first arrival to the end of the history."""
        coming = deque(self.history.arrivals)
        now, next_run = 0.0, 0.0
        while now <= self.history.seconds:
            while coming and coming[0].time <= now:
                self._arrive(coming.popleft())
            self._live(now)
            if now >= next_run:
                self._autoscale(now)
                next_run += self.setup.interval_seconds
            self._work(now)
            self._account(now)
            now += self.setup.tick_seconds
        self.report.waiting_at_end = sum(len(steps) for steps in self.queue.values())
        return self.report

    def _arrive(self, arrival: Arrival) -> None:
        steps = self.queue.setdefault((arrival.system, arrival.features), deque())
        steps.extend([arrival.time] * arrival.steps)

    def _live(self, now: float) -> None:
        """Steps end, machines come up, and the provider takes some back."""
        for name, machine in list(self.machines.items()):
            machine.ends = [end for end in machine.ends if end > now]
            if machine.facts["builder_state"] == "provisioning" and now >= machine.up_at:
                machine.facts.update(builder_state="active", builder_host_key=READY["builder_host_key"])
            if machine.own and self._happens("reclaimed"):
                self.report.reclaimed += 1
                del self.machines[name]

    def _work(self, now: float) -> None:
        """Each free place takes the step that has waited longest, of those that its machine may build."""
        for machine in self.machines.values():
            if not machine.builds or machine.facts["builder_fleet"] != self.settings.limits.fleet:
                continue
            big = bool(machine.facts["builder_mandatory_features"])
            for (_system, features), steps in self.queue.items():
                if big != ("big-parallel" in features):
                    continue
                while steps and len(machine.ends) < machine.slots:
                    self.report.waits.append(now - steps.popleft())
                    machine.ends.append(now + self._length(big))

    def _length(self, big: bool) -> float:
        mean = self.setup.big_step_seconds if big else self.setup.step_seconds
        return self._dice.expovariate(1 / mean)

    def _account(self, now: float) -> None:
        ours = [machine for machine in self.machines.values() if machine.own]
        usd = sum(machine.usd for machine in ours)
        hours = self.setup.tick_seconds / 3600
        self.report.usd += usd * hours
        self.report.machine_hours += len(ours) * hours
        self.report.most_machines = max(self.report.most_machines, len(ours))
        self.report.most_usd_per_hour = max(self.report.most_usd_per_hour, usd)
        self.report.series.append((now, sum(len(steps) for steps in self.queue.values()), len(ours), usd))
        if usd > self.settings.limits.ceiling_usd_per_hour + 1e-9:
            self.report.violations.append(f"{usd:.2f} USD per hour at {now:.0f} s, beyond the ceiling")
        for size in self.settings.classes:
            number = sum(size.name == _class_of(machine) for machine in ours)
            if number > size.max:
                self.report.violations.append(
                    f"{number} machines of class {size.name} at {now:.0f} s, of {size.max} at most"
                )

    def _autoscale(self, now: float) -> None:
        """One run: read, decide, act; the controller may be killed between any two acts."""
        self.report.runs += 1
        if self._happens("state_lost"):
            self._state = None
        plan = autoscale_plan(self._readings(now), self.settings)
        self._state = plan["state"]
        self._check(plan)
        acts = [("create", entry) for entry in plan["create"] for _one in range(entry["new"])]
        acts += [("restore", name) for name in plan["restore"]] + [("drain", name) for name in plan["drain"]]
        acts += [("remove", name) for name in plan["remove"]]
        # A build may begin between the reading and the act.
        self._work(now)
        for action, what in acts:
            if self._happens("killed"):
                break
            if not self._happens("api_error"):
                getattr(self, f"_{action}")(what, now)

    def _check(self, plan: Mapping[str, Any]) -> None:
        """No machine is forgotten: each has a decision."""
        named = {entry["builder"] for entry in plan["decisions"]}
        forgotten = [
            name
            for name, machine in self.machines.items()
            if machine.facts["builder_fleet"] == "lab" and name not in named
        ]
        self.report.violations += [f"{name} was forgotten" for name in forgotten]

    def _readings(self, now: float) -> Readings:
        down = self._happens("queue_down")
        runnable = [
            {"system": system, "features": list(features), "runnable": len(steps), "running": 0}
            for (system, features), steps in self.queue.items()
        ]
        requests = [
            {"id": "r1", "ours": True, "count": self.setup.requested, "max_bid_usd_per_hour": 0.0, "device_ids": []}
        ]
        return Readings(
            builders=[copy.deepcopy(machine.facts) for machine in self.machines.values()],
            queue=None if down else runnable,
            queue_reason="the queue runner cannot be reached" if down else "",
            jobs=self._jobs(),
            requests=requests if self.setup.requested else [],
            offers={},
            prices={},
            blocked={},
            state=copy.deepcopy(self._state),
            now=BEGIN + timedelta(seconds=now),
        )

    def _jobs(self) -> dict[str, Any]:
        """What runs where: for all, for none (Prometheus is down), or for a part (a label was renamed)."""
        if self._happens("jobs_down"):
            return {}
        renamed = self._happens("jobs_renamed")
        known = [name for name, machine in self.machines.items() if machine.facts["builder_state"] == "active"]
        return {
            name: {"jobs": len(self.machines[name].ends)} for name in known if not renamed or self._dice.random() < 0.5
        }

    def _create(self, entry: Mapping[str, Any], now: float) -> None:
        bid = autoscale_order(self.settings.classes, entry, CHANNELS)["bid"]
        size = next(size for size in self.settings.classes if size.name == entry["class"])
        facts = {
            "builder_state": "provisioning",
            "builder_host_key": None,
            "builder_location": bid["metro"],
            "builder_plan": bid["plan"],
            "builder_tags": ["nixmetal-fleet=lab", *bid["tags"]],
            "builder_mandatory_features": sorted(size.features),
        }
        fate = "failed" if self._happens("failed") else "stuck" if self._happens("stuck") else ""
        machine = self._add(facts, now, bid["max_bid_usd_per_hour"])
        if fate == "failed":
            machine.facts["builder_state"] = "failed"
        machine.up_at = now + self.setup.boot_seconds if not fate else float("inf")
        self.report.bought += 1

    def _add(self, changes: Mapping[str, Any], now: float = 0.0, usd: float = 0.0, own: bool = True) -> Machine:
        self._number += 1
        name = f"m{self._number:05}"
        created = (BEGIN + timedelta(seconds=now)).isoformat().replace("+00:00", "Z")
        facts = {
            **copy.deepcopy(READY),
            "builder_id": name,
            "builder_created_at": created,
            "builder_spot": None,
            **changes,
        }
        self.machines[name] = Machine(facts, now, now, usd, self.setup.slots, own=own)
        return self.machines[name]

    def _restore(self, name: str, now: float) -> None:
        facts = self.machines[name].facts
        facts["builder_tags"] = [
            tag for tag in facts["builder_tags"] if not tag.startswith(("skip-hydra", "drained-by="))
        ]
        facts["builder_draining"] = False

    def _drain(self, name: str, now: float) -> None:
        facts = self.machines[name].facts
        facts["builder_tags"] = [*facts["builder_tags"], "skip-hydra", "drained-by=autoscale"]
        facts["builder_draining"] = True

    def _remove(self, name: str, now: float) -> None:
        machine = self.machines[name]
        if not machine.own:
            self.report.violations.append(f"{name}, which is not the autoscaler's, was to be removed at {now:.0f} s")
        if machine.facts["builder_state"] == "active":
            if not machine.facts["builder_draining"]:
                self._drain(name, now)
            # The proof: whoever was given a build meanwhile stays, drained.
            if machine.ends:
                return
        if machine.ends:
            self.report.violations.append(f"{name} was removed busy at {now:.0f} s")
        del self.machines[name]
        self.report.removed += 1

    def _happens(self, fault: str) -> bool:
        likely = getattr(self.setup.faults, fault)
        if not likely or self._dice.random() >= likely:
            return False
        self.report.faults[fault] = self.report.faults.get(fault, 0) + 1
        return True


def _class_of(machine: Machine) -> str:
    marks = [
        tag.partition("=")[2].partition(".")[0]
        for tag in machine.facts["builder_tags"]
        if tag.startswith("nixmetal-autoscale=")
    ]
    return marks[0] if marks else ""
