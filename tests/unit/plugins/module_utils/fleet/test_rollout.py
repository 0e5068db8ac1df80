# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts planned against a made-up fleet: seeded campaigns of faults in which no busy machine is rebooted and none forgotten."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.drains import rebooting_from
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import JobsTarget
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs_prometheus import Query, read_jobs
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs_watch import WatchSettings, wait_idle
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout import next_step
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout_limits import is_big
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout_step import (
    Memory,
    Proofs,
    RolloutSettings,
    Step,
    checked,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.http_json import HttpJsonError
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Clock

OLD, NEW = (f"{letter * 32}-image" for letter in "ab")
URL = "http://web.example.org/{}/netboot.ipxe"
CHANNELS = {URL.format("x86"): NEW, URL.format("arm"): NEW}
SETTINGS = RolloutSettings(
    "ci", "rollout@ci", CHANNELS, at_once="10%", max_failures=1000, down_seconds=60, boot_seconds=600
)
TICK = 30.0


def boot_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


FAULTS = ["down", "empty", "renamed", "stale", "NaN", "null"]


class ApiError(Exception):
    """The provider answered 500, before or after it did what it was asked for."""


class World:
    """Machines that run jobs, reboot, hang, and are reclaimed, and the sources that tell of them, or fail to."""

    def __init__(self, machine: Callable[..., dict[str, Any]], seed: int, count: int, faults: bool = True) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.now = 0.0
        self.boots = count
        self.jobs: dict[str, int] = {}
        self.booting: dict[str, float] = {}
        self.stuck: dict[str, int] = {}
        self.fresh: set[str] = set()
        self.sent: set[str] = set()
        self.refused: dict[str, str] = {}
        self.fault = ""
        self.slept = 0.0
        self.events: Counter[str] = Counter()
        self.machines: dict[str, dict[str, Any]] = {}
        for number in range(count):
            name = f"m{number:03d}"
            features = ["big-parallel"] if number % 10 == 0 else []
            self.machines[name] = machine(
                builder_id=name,
                builder_fleet="ci",
                builder_tags=["nixmetal-fleet=ci"],
                builder_boot_url=URL.format("arm" if number % 4 == 3 else "x86"),
                builder_image_id=OLD,
                builder_boot_id=boot_id(number),
                builder_mandatory_features=features,
                builder_features=[],
                builder_spot=None,
            )
            self.jobs[name] = self.random.choice([0, 1, 3])
            if faults and self.random.random() < 0.04:
                self.stuck[name] = self.random.choice([1, 9])
        if faults:
            self._odd_ones()

    def _odd_ones(self) -> None:
        names = self.random.sample(sorted(self.machines), 6)
        self.machines[names[0]]["builder_state"] = "provisioning"
        self.machines[names[1]]["builder_state"] = "failed"
        self.machines[names[2]]["builder_tags"] += ["skip-hydra", "drained-by=alice"]
        self.machines[names[3]]["builder_fleet"] = None
        self.machines[names[4]]["builder_image_id"] = NEW
        self.machines[names[5]]["builder_tags"] += ["skip-hydra"]

    # -- time ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Jobs begin on machines in service and end everywhere; machines come back; now and then one is reclaimed."""
        self.now += TICK
        for name, facts in list(self.machines.items()):
            facts["builder_draining"] = "skip-hydra" in facts["builder_tags"]
            if name in self.booting:
                if self.booting[name] <= self.now:
                    self._boots(name)
                continue
            # A Nix that has read its machines file just before still gives builds to a machine that was taken out of it.
            if (not facts["builder_draining"] or name in self.fresh) and self.random.random() < 0.3:
                self.jobs[name] += 1
            if self.jobs[name] and self.random.random() < 0.4:
                self.jobs[name] -= 1
            if self.faults and self.random.random() < 0.0003:
                facts["builder_termination_time"] = stamp(self.now + 120)
                self.events["reclaimed"] += 1
            if facts.get("builder_termination_time") and self.random.random() < 0.2:
                del self.machines[name]
        self.fresh.clear()

    def _boots(self, name: str) -> None:
        del self.booting[name]
        self.boots += 1
        self.machines[name].update(builder_boot_id=boot_id(self.boots), builder_image_id=NEW)

    def _call(self, effect: Callable[[], Any]) -> None:
        """One call of the provider: 500 now and then, before or after it took effect."""
        fate = self.random.random() if self.faults else 1.0
        if fate < 0.02:
            raise ApiError
        effect()
        if fate < 0.04:
            raise ApiError

    def drain(self, name: str) -> None:
        self.fresh.add(name)
        tags = self.machines[name]["builder_tags"]
        self._call(lambda: tags.extend({"skip-hydra", "drained-by=rollout@ci"} - set(tags)))

    def restore(self, name: str) -> None:
        if name in self.machines:
            facts = self.machines[name]
            kept = [tag for tag in facts["builder_tags"] if not tag.startswith(("skip", "drained", "rebooting"))]
            self._call(lambda: facts.update(builder_tags=kept))

    def note_boots(self, note: dict[str, list[str]]) -> None:
        """One call for all of them: what fails after it took effect may have reached some alone."""
        for name, tags in note.items():
            facts = self.machines[name]
            assert rebooting_from(facts) is None
            self._call(functools.partial(facts["builder_tags"].extend, tags))

    def terminate(self, name: str) -> None:
        if name in self.machines:
            assert self.jobs[name] == 0, f"{name} was terminated with {self.jobs[name]} jobs"
            self._call(lambda: self.machines.pop(name))
            self.events["terminated"] += 1

    def reboot(self, name: str) -> None:
        try:
            self._call(lambda: self._reboots(name))
        except ApiError:
            self.events["refused"] += 1
            self.refused[name] = "500"
        else:
            self.sent.add(name)

    def _reboots(self, name: str) -> None:
        facts = self.machines[name]
        assert self.jobs[name] == 0, f"{name} was rebooted with {self.jobs[name]} jobs"
        assert facts["builder_draining"] or "skip-hydra" in facts["builder_tags"]
        self.events["rebooted"] += 1
        if self.stuck.get(name, 0) > 0:
            self.stuck[name] -= 1
            self.booting[name] = float("inf")
        else:
            self.booting[name] = self.now + self.random.choice([60, 120, 300])
        facts.update(builder_boot_id=None, builder_image_id=None) if self.random.random() < 0.5 else None

    # -- what is known of it ---------------------------------------------------------------------

    def reading(self) -> list[dict[str, Any]]:
        for facts in self.machines.values():
            facts["builder_draining"] = "skip-hydra" in facts["builder_tags"]
        return [json.loads(json.dumps(facts)) for facts in self.machines.values()]

    def proofs(self, step: Step, seen: dict[str, float]) -> Proofs:
        """Idle by Prometheus, which is broken now and then; boots by SSH, which may not answer."""
        targets = [JobsTarget(name, f"build@{name}") for name in step.wait_idle]
        clock = Clock(monotonic=lambda: self.now + self.slept, sleep=self._sleep)
        self.slept = 0.0
        self.fault = self.random.choice(FAULTS) if self.faults and self.random.random() < 0.3 else ""
        self.events[f"prometheus {self.fault or 'well'}"] += 1
        watch = wait_idle(self._read, targets, WatchSettings(40.0, 10.0, TICK, until_any=True), seen, clock)
        seen.clear()
        seen.update(watch.seen)
        boots = {}
        for name in step.prove + step.verify + step.wait_idle:
            if name in self.machines and name not in self.booting and self.random.random() < 0.8:
                facts = self.machines[name]
                boots[name] = {"boot_id": facts["builder_boot_id"], "image_id": facts["builder_image_id"]}
        built = [name for name in step.verify if name in boots]
        verified = {name: "broken" if self.faults and self.random.random() < 0.03 else "" for name in built}
        sent, self.sent = frozenset(self.sent), set()
        refused, self.refused = self.refused, {}
        return Proofs(frozenset(watch.proved), boots=boots, verified=verified, sent=sent, refused=refused)

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds

    def _read(self, targets: Any) -> Any:
        return read_jobs(self._prometheus, Query("hydra_machine_current_jobs", "host"), targets)

    def _prometheus(self, text: str) -> Any:
        if self.fault == "down":
            raise HttpJsonError("http://prometheus/api/v1/query: status 503")
        label = "machine" if self.fault == "renamed" else "host"
        age = 900 if self.fault == "stale" else 10
        jobs = {name: "NaN" if self.fault == "NaN" else str(self.jobs[name]) for name in self.machines}
        told = [
            {
                "metric": {label: f"build@{name}"},
                "value": [self.now, str(self.now - age) if "timestamp" in text else jobs[name]],
            }
            for name in ([] if self.fault == "empty" else jobs)
        ]
        result = None if self.fault == "null" else told
        return {"status": "success", "data": {"resultType": "vector", "result": result}}


def act(world: World, step: Step) -> None:
    """What the role does with a step. The first call of the provider that fails ends it, as the role's rescue does."""
    try:
        for name in step.restore:
            world.restore(name)
        for name in step.give_up:
            world.terminate(name)
        world.note_boots(step.note)
        for name in step.reboot:
            world.reboot(name)
        for name in step.drain:
            world.drain(name)
    except ApiError:
        world.events["API 500"] += 1


def check_limits(world: World, settings: RolloutSettings, ids: list[str], failed: dict[str, str]) -> None:
    for url in settings.images:
        members = [name for name in ids if name in world.machines and world.machines[name]["builder_boot_url"] == url]
        out = [
            name
            for name in members
            if "drained-by=rollout@ci" in world.machines[name]["builder_tags"] and name not in failed
        ]
        # The fleet shrinks by reclaims while machines are out: those are not taken back.
        assert len(out) <= max(1, len(ids) // 10)
    big = [facts for facts in world.machines.values() if is_big(facts) and facts["builder_fleet"] == "ci"]
    if len(big) > 1 and not world.faults:
        assert any(not facts["builder_draining"] and "skip-hydra" not in facts["builder_tags"] for facts in big)


def rollout(world: World, settings: RolloutSettings = SETTINGS, kill: float = 0.0, most: int = 4000) -> Step:
    """Run to the end; with `kill`, the controller dies now and then after some of its actions, and begins anew."""
    ids, memory, seen = sorted(world.machines), Memory(), dict[str, float]()
    step = next_step(world.reading(), ids, settings, memory, Proofs(), world.now)
    for _round in range(most):
        if kill and world.random.random() < kill:
            world.events["killed"] += 1
            half = Step(step.memory, drain=step.drain[:1], note=step.note, reboot=step.reboot[:1])
            act(world, half)
            memory, seen, ids = {}, {}, sorted(world.machines)
            world.sent.clear()
            world.refused.clear()
            step = next_step(world.reading(), ids, settings, memory, Proofs(), world.now)
            continue
        act(world, step)
        check_limits(world, settings, ids, step.failed)
        if step.finished:
            return step
        world.tick()
        memory = step.memory
        step = next_step(world.reading(), ids, settings, memory, world.proofs(step, seen), world.now)
    raise AssertionError(f"no end: {step}")


@pytest.fixture
def machine(builder: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    return builder


def test_a_fleet_without_faults_runs_the_new_image_in_the_end(machine: Any) -> None:
    world = World(machine, 1, 60, faults=False)
    step = rollout(world)
    assert sorted(step.done) == sorted(world.machines)
    assert {facts["builder_image_id"] for facts in world.machines.values()} == {NEW}
    assert not any(
        facts["builder_draining"] for facts in world.machines.values() if "skip-hydra" in facts["builder_tags"]
    )
    assert world.events["rebooted"] == 60


SEEDS = int(os.environ.get("NIXMETAL_ROLLOUT_SEEDS", "0"))


@pytest.mark.parametrize(
    ("seeds", "count"), [(range(SEEDS or 4), 60), pytest.param(range(SEEDS or 12), 200, marks=pytest.mark.long)]
)
def test_campaign_no_busy_machine_is_rebooted_and_none_is_forgotten(
    machine: Any, seeds: range, count: int, tell: Callable[[str], None]
) -> None:
    """World.reboot asserts that the machine runs nothing; here every machine must have got an end with a reason."""
    total: Counter[str] = Counter()
    for seed in seeds:
        world = World(machine, seed, count)
        ids = sorted(world.machines)
        step = rollout(world, kill=0.02)
        told = {*step.done, *step.failed, *step.skipped, *step.waiting}
        assert set(world.machines) <= told, f"seed {seed}: forgotten {set(world.machines) - told}"
        ours = [name for name in world.machines if "drained-by=rollout@ci" in world.machines[name]["builder_tags"]]
        assert set(ours) <= set(step.failed), f"seed {seed}: left drained {set(ours) - set(step.failed)}"
        for name in set(step.done) & set(world.machines):
            assert world.machines[name]["builder_image_id"] == NEW, f"seed {seed}: {name}"
        total += world.events + Counter(machines=len(ids), done=len(step.done), failed=len(step.failed), seeds=1)
    words = ", ".join(f"{number} {what}" for what, number in sorted(total.items()))
    tell(f"rollouts of {count} machines, seeds {seeds[0]} to {seeds[-1]}: {words}")
    assert total["rebooted"] > 20 * len(seeds)
    assert total["killed"] > 0
    assert total["API 500"] > 0
    assert total["refused"] > 0
    assert all(total[f"prometheus {fault}"] > 0 for fault in FAULTS)


def states(machine: Any, count: int = 4, **changes: Any) -> list[dict[str, Any]]:
    world = World(machine, 1, count, faults=False)
    return [{**facts, "builder_mandatory_features": [], **changes} for facts in world.machines.values()]


def step_of(
    builders: list[dict[str, Any]],
    memory: Memory | None = None,
    proofs: Proofs | None = None,
    now: float = 0.0,
    **changes: Any,
) -> Step:
    settings = RolloutSettings(**{**SETTINGS.__dict__, "at_once": "2", **changes})
    return next_step(
        builders, [facts["builder_id"] for facts in builders], settings, memory or {}, proofs or Proofs(), now
    )


def drained(facts: dict[str, Any], *tags: str, **changes: Any) -> dict[str, Any]:
    more = ["skip-hydra", "drained-by=rollout@ci", *tags]
    return {**facts, "builder_tags": [*facts["builder_tags"], *more], "builder_draining": True, **changes}


def test_the_canary_goes_first_and_alone(machine: Any) -> None:
    builders = states(machine)
    assert step_of(builders).drain == ["m000", "m003"]  # one of each channel
    builders[0]["builder_image_id"] = NEW
    assert step_of(builders).drain == ["m001", "m002", "m003"]
    assert step_of(builders, canaries=3).drain == ["m001", "m002", "m003"]
    assert step_of(states(machine), canaries=0).drain == ["m000", "m001", "m003"]


def test_a_canary_that_fails_stops_everything(machine: Any) -> None:
    memory: Memory = {"m000": {"begun": 0, "failed": "broken"}}
    stopped = step_of(states(machine), memory, max_failures=5)
    assert (stopped.stopped, stopped.drain, stopped.finished) == (True, [], True)


def test_the_canaries_of_one_channel_say_nothing_of_another(machine: Any) -> None:
    builders = states(machine, 8)  # m003 and m007 are of another channel than the others
    builders[0]["builder_image_id"] = builders[1]["builder_image_id"] = NEW
    memory: Memory = {"m003": {"begun": 0, "failed": "broken"}}
    stopped = step_of(builders, memory, max_failures=5)
    assert (stopped.stopped, stopped.drain) == (True, [])
    settings = dataclasses.replace(SETTINGS, max_failures=5)
    left = [facts for facts in builders if facts["builder_id"] != "m003"]
    assert next_step(left, sorted(stopped.memory), settings, stopped.memory, Proofs(), 0.0).stopped
    assert not step_of(builders, {"m002": {"begun": 0, "failed": "broken"}}, max_failures=5).stopped


def test_too_many_failures_stop_new_starts_and_finish_what_is_under_way(machine: Any) -> None:
    builders = states(machine, 8)
    builders[0]["builder_image_id"] = NEW
    builders[1] = drained(builders[1])
    memory: Memory = {name: {"failed": "x", "begun": 0.0} for name in ("m002", "m004")}
    stopped = step_of(builders, memory, max_failures=1)
    assert (stopped.stopped, stopped.drain, stopped.wait_idle, stopped.finished) == (True, [], ["m001"], False)
    assert not step_of(builders, memory, max_failures=2).stopped


def test_big_parallel_machines_are_never_all_out_at_once(machine: Any) -> None:
    builders = states(machine, 4, builder_mandatory_features=["big-parallel"], builder_boot_url=URL.format("x86"))
    assert step_of(builders, at_once="100%", canaries=0).drain == ["m000", "m001", "m002"]
    builders[3]["builder_state"] = "failed"
    assert step_of(builders, at_once="100%", canaries=0).drain == ["m000", "m001"]
    held = step_of(builders[2:], at_once="100%", canaries=0)
    assert (held.drain, held.waiting, held.finished) == ([], ["m002"], True)
    assert step_of(builders[:1], at_once="100%", canaries=0).drain == ["m000"]  # a fleet of one has no other


@pytest.mark.parametrize(
    "changes",
    [
        {"builder_host_key": None},
        {"builder_termination_time": "1970-01-01T00:59:00Z"},
    ],
)
def test_a_big_parallel_machine_that_gets_no_builds_spares_no_other(machine: Any, changes: dict[str, Any]) -> None:
    builders = states(machine, 2, builder_mandatory_features=["big-parallel"], builder_boot_url=URL.format("x86"))
    other = {**builders[1], "builder_image_id": NEW, **changes}
    assert step_of([builders[0], other], canaries=0).drain == []
    assert step_of([builders[0], {**builders[1], "builder_image_id": NEW}], canaries=0).drain == ["m000"]


@pytest.mark.parametrize(("at_once", "begun"), [("1", 1), ("3", 3), ("50%", 4), ("10%", 1), ("100%", 8)])
def test_waves_are_numbers_or_percentages_of_a_channel(machine: Any, at_once: str, begun: int) -> None:
    builders = states(machine, 8, builder_boot_url=URL.format("x86"))
    assert len(step_of(builders, at_once=at_once, canaries=0).drain) == begun


def test_the_limit_holds_across_runs(machine: Any) -> None:
    """As of a run with another --limit, or one whose controller died."""
    builders = states(machine, 4, builder_boot_url=URL.format("x86"))
    builders[0] = drained(builders[0])
    settings = RolloutSettings(**{**SETTINGS.__dict__, "at_once": "1", "canaries": 0})
    assert next_step(builders, ["m001", "m002"], settings, {}, Proofs(), 0.0).drain == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"builder_state": "provisioning"}, "state is provisioning"),
        ({"builder_state": "some_new_word"}, "state is some_new_word"),
        ({"builder_fleet": None}, "not of the fleet"),
        ({"builder_tags": ["skip-hydra", "drained-by=alice"]}, "drained by alice"),
        ({"builder_tags": ["skip-hydra"]}, "drained by (unknown)"),
        ({"builder_boot_url": "http://x/netboot.ipxe"}, "no channel of ours"),
        ({"builder_boot_id": None, "builder_host_key": None}, "no boot id"),
        ({"builder_spot": {"request_id": "r", "bid": "b", "termination_time": "1970-01-01T00:59:00Z"}}, "reclaimed"),
        ({"builder_termination_time": "1970-01-01T00:59:00Z"}, "reclaimed at 1970-01-01T00:59:00Z"),
    ],
)
def test_what_is_left_as_it_is_and_why(machine: Any, changes: dict[str, Any], words: str) -> None:
    step = step_of(states(machine, 1, **changes))
    assert words in step.skipped["m000"]
    assert step.finished


def test_an_end_beyond_the_horizon_keeps_no_machine_from_its_new_image(machine: Any) -> None:
    builders = states(machine, 1, builder_termination_time="1970-01-01T02:00:00Z")
    assert step_of(builders).drain == ["m000"]
    assert (
        "will be reclaimed"
        in next_step([drained(builders[0])], ["m000"], SETTINGS, {}, Proofs(), 3601.0).failed["m000"]
    )
    assert "reclaimed" in step_of(builders, horizon_seconds=7200.0).skipped["m000"]


def test_no_machine_is_rebooted_before_it_is_proved_idle(machine: Any) -> None:
    builders = [drained(states(machine, 1)[0])]
    assert step_of(builders).wait_idle == ["m000"]
    assert step_of(builders, proofs=idle_proof()).reboot == ["m000"]


def test_what_is_busy_over_ssh_is_not_idle_whatever_another_source_says(machine: Any) -> None:
    builders = [drained(states(machine, 1)[0])]
    busy = dataclasses.replace(idle_proof(), busy=frozenset({"m000"}))
    step = step_of(builders, proofs=busy)
    assert (step.reboot, step.wait_idle) == ([], ["m000"])
    late: Memory = {"m000": {"begun": 0.0}}
    assert step_of(builders, late, busy, now=43201.0, drain_policy="proceed").reboot == ["m000"]


def idle_proof() -> Proofs:
    return Proofs(idle=frozenset({"m000"}), boots=boots(boot_id(0), OLD).boots)


def test_no_machine_is_rebooted_that_could_not_prove_a_new_boot(machine: Any) -> None:
    """Prometheus says that it is idle, but nobody could see over SSH that it came back."""
    builders = [drained(states(machine, 1)[0])]
    mute = Proofs(frozenset({"m000"}), boots={"m000": {"boot_id": None, "problem": "Permission denied"}})
    step = step_of(builders, proofs=mute)
    assert (step.reboot, step.wait_idle, step.silent) == ([], ["m000"], {"m000": "Permission denied"})
    for policy in ("fail", "proceed"):
        late = step_of(builders, {"m000": {"begun": 0.0}}, mute, now=43201.0, drain_policy=policy)
        assert (late.reboot, late.restore) == ([], ["m000"])
        assert "Permission denied" in late.failed["m000"]


def test_a_reboot_counts_when_it_was_asked_for(machine: Any) -> None:
    """What is only planned may fail on its way, and so may the one before it."""
    planned = step_of([drained(states(machine, 1)[0])], proofs=idle_proof(), now=5.0)
    assert (planned.reboot, planned.note) == (["m000"], {"m000": [LEFT]})
    assert "tries" not in planned.memory["m000"]
    noted = [drained(states(machine, 1)[0], LEFT)]
    never: Memory = {"m000": {"begun": 0.0, "rebooted": 0.0}}
    for now in (601.0, 6001.0):
        assert step_of(noted, never, Proofs(), now).reboot == ["m000"]
    asked = step_of(noted, never, Proofs(sent=frozenset({"m000"})), 601.0)
    assert (asked.prove, asked.memory["m000"]["tries"], asked.memory["m000"]["rebooted"]) == (["m000"], 1, 601.0)


def refusals(builders: list[dict[str, Any]], answer: Proofs, now: float, memory: Memory) -> list[Step]:
    """The steps while the machine is asked again and again and cannot be asked."""
    steps = [step_of(builders, memory, answer, now)]
    while steps[-1].reboot:
        assert len(steps) < 20
        refused = dataclasses.replace(answer, refused={"m000": "no route"})
        steps.append(step_of(builders, steps[-1].memory, refused, now + len(steps)))
    return steps


def test_a_machine_that_cannot_be_asked_to_reboot_is_asked_a_few_times(machine: Any) -> None:
    """It runs on, so it is asked at each look, and it alone fails in the end."""
    noted, runs = [drained(states(machine, 1)[0], LEFT)], boots(boot_id(0), OLD)
    asked = dataclasses.replace(runs, refused={"m000": "status 500"})
    assert step_of(noted, {"m000": {"begun": 0.0}}, asked, 1.0).reboot == ["m000"]
    busy = dataclasses.replace(asked, busy=frozenset({"m000"}))
    assert step_of(noted, {"m000": {"begun": 0.0}}, busy, 1.0).reboot == []
    steps = refusals(noted, runs, 61.0, {"m000": {"begun": 0.0, "rebooted": 0.0}})
    assert len(steps) == SETTINGS.ask_tries + 1
    assert (steps[-1].give_up, steps[-1].prove) == ([], [])
    assert "5 times it could not be asked (no route), and stays drained" in steps[-1].failed["m000"]
    sent = step_of(noted, steps[-2].memory, dataclasses.replace(runs, sent=frozenset({"m000"})), 99.0)
    assert (sent.prove, "refusals" in sent.memory["m000"]) == (["m000"], False)


def test_a_refused_request_may_have_been_heard_so_a_machine_that_is_away_gets_its_time(machine: Any) -> None:
    """The answer was lost five times, and the fifth request took effect; or SSH has missed one answer."""
    noted = [drained(states(machine, 1)[0], LEFT)]
    kept: Memory = {"m000": {"begun": 0.0, "rebooted": 0.0, "refusals": 4, "refusal": "x"}}
    lost = step_of(noted, kept, Proofs(refused={"m000": "reset"}), 599.0)
    assert (lost.prove, lost.give_up, lost.failed) == (["m000"], [], {})
    assert step_of(noted, lost.memory, boots(boot_id(9)), 600.0).verify == ["m000"]
    assert step_of(noted, lost.memory, Proofs(), 601.0).give_up == ["m000"]


def test_a_resumed_rollout_gives_up_a_machine_that_cannot_be_asked(machine: Any) -> None:
    """It runs the image of the run before, and is seen; a newer one was published since."""
    noted, came = [drained(states(machine, 1)[0], LEFT)], boots(boot_id(5), OLD)
    kept: Memory = {"m000": {"begun": 0.0, "rebooted": 0.0, "refusals": 4, "refusal": "x"}}
    idle = dataclasses.replace(came, idle=frozenset({"m000"}))
    assert step_of(noted, kept, idle, 1.0).reboot == ["m000"]
    step = step_of(noted, kept, dataclasses.replace(idle, refused={"m000": "no login"}), 1.0)
    assert (step.reboot, step.give_up) == ([], [])
    assert "5 times it could not be asked (no login), and stays drained" in step.failed["m000"]


def test_a_number_of_tries_is_above_zero() -> None:
    with pytest.raises(FleetError, match="builder_rollout_action_tries: 0 is no number above 0"):
        checked(dataclasses.replace(SETTINGS, ask_tries=0))


@pytest.mark.parametrize("kept", [{"done": True}, {"failed": "not idle", "owes": "restore"}])
def test_the_tags_of_a_machine_that_goes_are_not_lifted(machine: Any, kept: dict[str, Any]) -> None:
    """The provider refuses it, and the tags of all others in the same call with it."""
    goes = [drained(states(machine, 1)[0], builder_state="deprovisioning")]
    step = step_of(goes, {"m000": kept})
    assert (step.restore, list(step.failed)) == ([], ["m000"])
    assert step_of([drained(states(machine, 1)[0])], {"m000": kept}).restore == ["m000"]


def test_a_machine_that_stays_away_and_cannot_be_asked_is_given_up(machine: Any) -> None:
    """One's own machine takes its reboots over SSH, so one that did not come back cannot be asked again."""
    noted = [drained(states(machine, 1)[0], LEFT, builder_boot_id=None, builder_image_id=None)]
    away: Memory = {"m000": {"begun": 0.0, "rebooted": 0.0, "tries": 1}}
    assert step_of(noted, away, Proofs(), 599.0).prove == ["m000"]
    steps = refusals(noted, Proofs(), 601.0, away)
    assert len(steps) == SETTINGS.ask_tries + 1
    assert steps[-1].give_up == ["m000"]
    assert "asked to reboot 1 times, and 5 times it could not be asked (no route)" in steps[-1].failed["m000"]


@pytest.mark.parametrize(
    ("published", "said", "given_up"),
    [(None, None, True), ("", None, True), (0, None, True), (9, None, False), (0, 0, False), (None, 0, False)],
)
def test_given_up_is_only_what_nothing_says_of_that_it_lives(
    machine: Any, published: Any, said: int | None, given_up: bool
) -> None:
    """A machine that is up, but which SSH cannot be asked, is not terminated."""
    boot = boot_id(published) if isinstance(published, int) else published
    builders = [drained(states(machine, 1)[0], LEFT, builder_boot_id=boot)]
    proofs = Proofs() if said is None else boots(boot_id(said), OLD)
    step = step_of(builders, {"m000": {"begun": 0.0, "rebooted": 0.0, "tries": 2}}, proofs, 601.0)
    assert (step.give_up, list(step.failed)) == (["m000"] if given_up else [], ["m000"])


@pytest.mark.parametrize("left", [[], [f"rebooting-from={boot_id(0)}"]])
def test_the_owners_name_without_a_drain_is_no_drain(machine: Any, left: list[str]) -> None:
    """Somebody has lifted the drain tag by hand, so the machine is in service: it is drained, without a note that is out of date."""
    facts = states(machine, 1)[0]
    facts["builder_tags"] += ["drained-by=rollout@ci", *left]
    step = step_of([facts], {"m000": {"begun": 0.0, "rebooted": 0.0}}, Proofs(idle=frozenset({"m000"})), now=601.0)
    assert (step.drain, step.restore, step.reboot) == ([] if left else ["m000"], ["m000"] if left else [], [])


@pytest.mark.parametrize(("policy", "what"), [("fail", "restore"), ("proceed", "reboot"), ("wait", "wait_idle")])
def test_the_deadline_of_a_drain(machine: Any, policy: str, what: str) -> None:
    builders = [drained(states(machine, 1)[0])]
    step = step_of(builders, {"m000": {"begun": 0.0}}, boots(boot_id(0), OLD), now=43201.0, drain_policy=policy)
    assert getattr(step, what) == ["m000"]
    assert ("m000" in step.failed) is (policy == "fail")


LEFT = f"rebooting-from={boot_id(0)}"


def boots(boot: str | None, image: str | None = NEW) -> Proofs:
    return Proofs(boots={"m000": {"boot_id": boot, "image_id": image}})


@pytest.mark.parametrize(
    ("proofs", "now", "tries", "what"),
    [
        (Proofs(), 100, 1, "prove"),
        (boots(boot_id(0), OLD), 59, 1, "prove"),  # still up
        (boots(boot_id(0), OLD), 61, 1, "reboot"),  # it did not go down
        (boots(boot_id(0), OLD), 61, 2, "failed"),  # it lives
        (Proofs(), 599, 1, "prove"),
        (Proofs(), 601, 1, "reboot"),  # it did not come back
        (Proofs(), 601, 2, "give_up"),
        (Proofs(busy=frozenset({"m000"})), 601, 1, "prove"),
        (boots(boot_id(9)), 100, 1, "verify"),
        (boots(boot_id(9), OLD), 100, 1, "failed"),  # the wrong image
        (boots(boot_id(9), None), 100, 1, "failed"),
    ],
)
def test_a_reboot_is_proved_by_a_new_boot_of_the_expected_image(
    machine: Any, proofs: Proofs, now: float, tries: int, what: str
) -> None:
    builders = [drained(states(machine, 1)[0], LEFT)]
    step = step_of(builders, {"m000": {"begun": 0.0, "rebooted": 0.0, "tries": tries}}, proofs, float(now))
    assert list(getattr(step, what)) == ["m000"]


def test_a_resumed_rollout_gets_on_after_a_newer_release(machine: Any) -> None:
    """The machine has come back with the image of the run before: proved idle, it is rebooted again, and is to leave that boot."""
    builders, came, name = [drained(states(machine, 1)[0], LEFT)], boots(boot_id(5), OLD), frozenset({"m000"})
    first = step_of(builders, proofs=came)
    assert (first.wait_idle, first.reboot, first.failed) == (["m000"], [], {})
    waited = step_of(builders, first.memory, came, 5000.0)
    assert step_of(builders, waited.memory, Proofs(), 5030.0).reboot == []  # an answer that is missing proves nothing
    idle = dataclasses.replace(came, idle=name)
    assert step_of(builders, waited.memory, dataclasses.replace(idle, busy=name), 5030.0).reboot == []
    again = step_of(builders, waited.memory, idle, 5030.0)
    assert (again.reboot, again.note) == (["m000"], {})  # the first note stays, for the next run's sake
    assert step_of(builders, again.memory, came, 5060.0).wait_idle == ["m000"]  # it was not asked
    asked = step_of(builders, again.memory, dataclasses.replace(came, sent=name), 5060.0)
    assert (asked.prove, asked.failed) == (["m000"], {})
    assert step_of(builders, asked.memory, boots(boot_id(6)), 5090.0).verify == ["m000"]
    assert "has booted" in step_of(builders, asked.memory, boots(boot_id(6), OLD), 5090.0).failed["m000"]


def test_a_port_that_answers_or_a_published_boot_alone_prove_nothing(machine: Any) -> None:
    """The inventory says the new image and boot already; only SSH with the published key counts."""
    builders = [drained(states(machine, 1)[0], LEFT, builder_boot_id=boot_id(9), builder_image_id=NEW)]
    step = step_of(builders, {"m000": {"rebooted": 0.0, "tries": 1}}, now=100)
    assert (step.prove, step.verify, step.restore) == (["m000"], [], [])


def test_a_machine_that_publishes_nothing_is_asked_over_ssh(machine: Any) -> None:
    """As one's own machines, whose inventory does not know what they have booted."""
    builders = states(machine, 1, builder_boot_id=None, builder_image_id=None)
    first = step_of(builders)
    assert (first.ask, first.unanswered, first.skipped, first.drain) == (["m000"], ["m000"], {}, [])
    assert step_of(builders, proofs=boots(boot_id(7), OLD)).drain == ["m000"]
    assert step_of(builders, proofs=boots(boot_id(7), NEW)).done == ["m000"]
    proofs = Proofs(idle=frozenset({"m000"}), boots=boots(boot_id(7), OLD).boots)
    assert step_of([drained(builders[0])], proofs=proofs).note == {"m000": [f"rebooting-from={boot_id(7)}"]}
    assert step_of(states(machine, 1, builder_boot_id=None, builder_host_key=None)).ask == []


def test_machines_that_publish_nothing_are_asked_at_each_look_while_they_wait(machine: Any) -> None:
    """Else those that wait would be taken for machines of which nothing is known as soon as the first wave is looked at."""
    builders = states(machine, 3, builder_boot_id=None, builder_image_id=None, builder_boot_url=URL.format("x86"))
    told = Proofs(boots={facts["builder_id"]: {"boot_id": boot_id(7), "image_id": OLD} for facts in builders})
    step = step_of(builders, proofs=told)
    assert (step.drain, step.waiting) == (["m000"], ["m001", "m002"])
    assert step.ask == ["m000", "m001", "m002"]
    memory = {**step.memory, "m000": {"done": True}}
    assert step_of(builders, memory, told).ask == ["m001", "m002"]


def test_a_machine_that_misses_an_answer_is_asked_again_and_fails_when_it_misses_three(machine: Any) -> None:
    """Nothing else is under way, so that the rollout would end with the machine on its old image, and call it a success."""
    builders = states(machine, 1, builder_boot_id=None, builder_image_id=None)
    silent = Proofs(boots={"m000": {"boot_id": None, "image_id": None, "problem": "timed out"}})
    first = step_of(builders)
    once = step_of(builders, first.memory, silent)
    twice = step_of(builders, once.memory, silent)
    for step in (first, once, twice):
        assert (step.ask, step.unanswered, step.drain, step.skipped) == (["m000"], ["m000"], [], {})
        assert not step.finished
    thrice = step_of(builders, twice.memory, silent)
    assert "did not answer over SSH, asked 3 times (timed out)" in thrice.failed["m000"]
    assert (thrice.finished, thrice.stopped, thrice.ask) == (True, False, [])
    answered = step_of(builders, twice.memory, boots(boot_id(7), OLD))
    assert answered.drain == ["m000"]


def test_the_count_of_missed_answers_begins_anew_with_an_answer(machine: Any) -> None:
    builders = states(machine, 2, builder_boot_id=None, builder_image_id=None, builder_boot_url=URL.format("x86"))
    told = {name: {"boot_id": boot_id(7), "image_id": OLD} for name in ("m000", "m001")}
    silent = {**told, "m001": {"boot_id": None, "image_id": None}}
    memory: Memory = {}
    for answers in (silent, silent, told, silent, silent):
        step = step_of(builders, memory, Proofs(boots=answers), max_failures=0, at_once="1")
        memory = {**step.memory, "m000": {"done": True}}
        memory["m001"].pop("begun", None)
        assert "m001" not in step.failed


def test_what_does_not_answer_is_no_failure_of_the_image_and_is_held_back_when_the_rollout_stops(machine: Any) -> None:
    builders = states(machine, 3, builder_boot_id=None, builder_image_id=None, builder_boot_url=URL.format("x86"))
    answers = {"m001": {"boot_id": boot_id(7), "image_id": OLD}, "m000": {"boot_id": None}, "m002": {"boot_id": None}}
    silent = {"unanswered": 2}
    one = step_of(builders, {"m000": dict(silent)}, Proofs(boots=answers), max_failures=0)
    assert (list(one.failed), one.stopped, one.drain, one.unanswered) == (["m000"], False, ["m001"], ["m002"])
    stopped = step_of(builders, {"m000": {"failed": "it broke", "begun": 0.0}}, Proofs(boots=answers), max_failures=0)
    assert (stopped.stopped, stopped.unanswered, stopped.waiting) == (True, [], ["m001", "m002"])
    assert stopped.finished


def test_machines_that_are_left_as_they_are_whatever_they_say_are_not_asked(machine: Any) -> None:
    quiet = {"builder_boot_id": None, "builder_image_id": None}
    for changes in (
        {"builder_fleet": "other"},
        {"builder_tags": ["skip-hydra", "drained-by=alice"]},
        {"builder_boot_url": "http://x/netboot.ipxe"},
    ):
        step = step_of(states(machine, 1, **quiet, **changes))
        assert (step.ask, list(step.skipped)) == ([], ["m000"])


def test_a_restore_that_failed_is_done_again(machine: Any) -> None:
    builders = [drained(states(machine, 1)[0], LEFT)]
    assert step_of(builders, {"m000": {"done": True}}).restore == ["m000"]


def test_what_is_owed_to_a_machine_that_failed_is_done_again_while_it_is_ours(machine: Any) -> None:
    """The provider answered 500 when the last of the machines was to be put back into service, or to be terminated."""
    whole, out = states(machine, 1), [drained(states(machine, 1)[0])]
    late = step_of(out, {"m000": {"begun": 0.0}}, now=43201.0)
    again = step_of(out, late.memory, now=43231.0)
    assert (late.restore, again.restore, again.failed, again.finished) == (["m000"], ["m000"], late.failed, False)
    assert step_of(whole, again.memory, now=43261.0).finished
    down: Memory = {"m000": {"begun": 0.0, "rebooted": 0.0, "tries": 2}}
    out = [drained(states(machine, 1)[0], LEFT)]
    lost = step_of(out, down, now=601.0)
    again = step_of(out, lost.memory, now=631.0)
    assert (lost.give_up, again.give_up, again.failed) == (["m000"], ["m000"], lost.failed)
    going = step_of([{**out[0], "builder_state": "deprovisioning"}], again.memory, now=661.0)
    assert (going.give_up, going.finished, step_of([], again.memory).finished) == ([], True, True)
    back = step_of(out, lost.memory, boots(boot_id(9)), now=631.0)
    assert (back.give_up, back.failed) == ([], {"m000": "it came back too late, and stays drained"})
    kept = step_of(out, down, now=601.0, unreturned="keep")
    assert step_of(out, kept.memory, now=631.0, unreturned="keep").finished


def test_a_test_build_that_fails_is_tried_again_and_then_fails(machine: Any) -> None:
    builders = [drained(states(machine, 1)[0], LEFT)]
    proofs = Proofs(boots=boots(boot_id(9)).boots, verified={"m000": "no compiler"})
    assert step_of(builders, {"m000": {"verifications": 1}}, proofs).verify == ["m000"]
    assert "no compiler" in step_of(builders, {"m000": {"verifications": 2}}, proofs).failed["m000"]
    good = Proofs(boots=proofs.boots, verified={"m000": ""})
    assert step_of(builders, {"m000": {"verifications": 1}}, good).restore == ["m000"]


def test_a_machine_that_was_begun_with_and_is_gone_or_not_ours_any_more_has_failed(machine: Any) -> None:
    begun: Memory = {"m000": {"begun": 0.0, "channel": URL.format("x86")}}
    gone = next_step([], ["m000"], SETTINGS, begun, Proofs(), 1.0)
    assert gone.failed == {"m000": "it is gone, reclaimed or terminated by somebody else"}
    lifted = states(machine, 1, builder_state="powering_off")
    assert step_of(lifted, begun).failed == {"m000": "its state is powering_off"}
    moved = drained(states(machine, 1, builder_boot_url="http://x/netboot.ipxe")[0])
    assert step_of([moved], begun).failed == {"m000": "it boots http://x/netboot.ipxe, which is no channel of ours"}


def test_a_drained_machine_that_runs_the_image_already_is_proved_and_not_rebooted(machine: Any) -> None:
    there = drained(states(machine, 1, builder_image_id=NEW)[0])
    assert step_of([there]).verify == ["m000"]
    done = step_of([there], proofs=Proofs(verified={"m000": ""}))
    assert (done.restore, done.reboot) == (["m000"], [])
