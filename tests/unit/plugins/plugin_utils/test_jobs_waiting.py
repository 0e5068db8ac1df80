# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Idle is proved: seen for long enough, without a break, whatever is not known in between. No test sleeps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import jobs_sources
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import (
    JobsError,
    JobsReading,
    JobsTarget,
    Readings,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs_watch import (
    WatchSettings,
    late_words,
    not_idle_words,
    result,
    wait_from,
    wait_idle,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Clock
from ansible_collections.nixmetal.builders.plugins.plugin_utils.jobs_waiting import (
    JobsWaiting,
    WaitOptions,
    check_options,
    line,
)

TARGETS = [JobsTarget("a"), JobsTarget("b")]
QUIET = WatchSettings(quiet=30, pause=10, timeout=1000)


class World:
    """Builders whose jobs change with the time; each look takes a moment."""

    def __init__(self, jobs: Callable[[str, float], int | None], look_seconds: float = 0.0) -> None:
        self.now = 0.0
        self.jobs = jobs
        self.asked: list[tuple[float, list[str]]] = []
        self.look_seconds = look_seconds
        self.clock = Clock(monotonic=lambda: self.now, sleep=self.sleep, random=lambda: 0.0)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self, targets: Iterable[JobsTarget]) -> Readings:
        names = [target.id for target in targets]
        self.asked.append((self.now, names))
        self.now += self.look_seconds
        found = {name: self.jobs(name, self.now) for name in names}
        return {
            name: JobsReading(jobs, "s", name, None if jobs is not None else "gone") for name, jobs in found.items()
        }


def test_idle_must_be_seen_for_long_enough() -> None:
    world = World(lambda name, now: 1 if now < 25 else 0)
    watch = wait_idle(world.read, TARGETS, QUIET, clock=world.clock)
    assert watch.finished
    assert world.now == 60  # first seen idle at 30


def test_null_jobs_never_count_as_idle_and_break_what_was_seen() -> None:
    world = World(lambda name, now: None if 15 < now < 45 else 0)
    watch = wait_idle(world.read, TARGETS[:1], QUIET, clock=world.clock)
    assert watch.finished
    assert world.now == 80  # 0 to 10 did not count, 50 to 80 does


@pytest.mark.parametrize("jobs", [None, 1])
def test_the_deadline_of_twelve_hours_ends_the_wait_and_says_what_is_known(jobs: int | None) -> None:
    """The original's drain went on without an end after 12 hours, and took no answer for idle before."""
    world = World(lambda name, now: 0 if name == "a" else jobs)
    watch = wait_idle(world.read, TARGETS, WatchSettings(quiet=60, pause=10), clock=world.clock)
    told = result(watch)
    assert world.now == 43200
    assert (told["finished"], told["idle"], told["not_idle"]) == (False, ["a"], ["b"])
    assert ("b (unknown: gone)" if jobs is None else "b (1 job)") in late_words(told, 43200)


def test_a_builder_that_is_proved_is_not_asked_again() -> None:
    world = World(lambda name, now: 0 if name == "a" or now > 95 else 2)
    assert wait_idle(world.read, TARGETS, QUIET, clock=world.clock).finished
    assert world.asked[3][1] == ["a", "b"]
    assert all(names == ["b"] for _at, names in world.asked[4:])


def test_one_of_them_may_be_enough() -> None:
    world = World(lambda name, now: 0 if name == "b" else 1)
    watch = wait_idle(world.read, TARGETS, WatchSettings(30, 10, 1000, until_any=True), clock=world.clock)
    assert (watch.finished, watch.proved, world.now) == (True, ["b"], 30)


def test_what_an_earlier_call_saw_counts_and_the_time_between_does_not() -> None:
    world = World(lambda name, now: 0)
    watch = wait_idle(world.read, TARGETS[:1], QUIET, {"a": 25.0}, clock=world.clock)
    assert (watch.finished, world.now) == (True, 10)
    busy = World(lambda name, now: 0 if now else 3)
    assert wait_idle(busy.read, TARGETS[:1], QUIET, {"a": 25.0}, clock=busy.clock).finished
    assert busy.now == 40


def test_what_an_earlier_call_has_proved_is_looked_at_once_more() -> None:
    world = World(lambda name, now: 2)
    watch = wait_idle(world.read, TARGETS[:1], WatchSettings(30, 10, 0), {"a": 99.0}, clock=world.clock)
    assert (watch.proved, watch.finished) == ([], False)


def test_a_long_break_between_two_looks_proves_no_more_than_a_usual_one() -> None:
    """As of a controller that was asleep."""
    world = World(lambda name, now: 0, look_seconds=500)
    watch = wait_idle(world.read, TARGETS[:1], WatchSettings(100, 10, 3000), clock=world.clock)
    assert watch.finished
    assert len(world.asked) == 6


def test_a_timeout_of_zero_looks_once() -> None:
    world = World(lambda name, now: 0)
    watch = wait_idle(world.read, TARGETS, WatchSettings(quiet=30, timeout=0), clock=world.clock)
    assert (len(world.asked), watch.finished) == (1, False)
    assert wait_idle(world.read, TARGETS, WatchSettings(quiet=0, timeout=0), clock=world.clock).finished


@pytest.mark.parametrize(("policy", "finished", "seconds"), [("wait", True, 150), ("fail", False, 60)])
def test_only_the_policy_to_wait_goes_on_beyond_the_time(
    monkeypatch: pytest.MonkeyPatch, policy: str, finished: bool, seconds: float
) -> None:
    world = World(lambda name, now: 0 if now >= 120 else 1)
    monkeypatch.setattr(jobs_sources, "reader_from", lambda options: world.read)
    words = {"policy": policy, "until": "all", "seen": {}, "builders": [{"id": "a"}], "source": "hydra"}
    told = wait_from({"quiet_seconds": 30, "pause_seconds": 10, "timeout": 60, **words}, clock=world.clock)
    assert (told["finished"], world.now) == (finished, seconds)


def test_what_was_seen_must_be_numbers() -> None:
    wanted = {
        "quiet_seconds": 1,
        "pause_seconds": 1,
        "timeout": 1,
        "policy": "fail",
        "until": "all",
        "seen": {"a": "x"},
    }
    with pytest.raises(JobsError, match="seen"):
        wait_from({**wanted, "builders": [], "source": "hydra", "url": "http://127.0.0.1:9"})


def test_many_builders_are_told_shortly() -> None:
    many = {f"m{number}": {"jobs": 1, "idle": False} for number in range(9)}
    assert not_idle_words(many, 2) == "m0 (1 job), m1 (1 job) and 7 more"


class Parts:
    """What the module would answer, part by part; every part takes all of its time, and a broken connection five seconds."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.given: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.now = 0.0

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.given.append(json.loads(json.dumps(arguments)))
        told = next(self.answers)
        self.now += 5 if told is None else arguments["timeout"]
        return told

    def run(self, **options: Any) -> dict[str, Any]:
        checked = check_options({"progress": 30, **options})
        return JobsWaiting(checked, self, self.said.append, lambda: self.now).run()


def answer(finished: bool = False, **seen: float) -> dict[str, Any]:
    builders = {"a": {"jobs": 0 if finished else 2, "idle": finished, "idle_seconds": 60.0 if finished else 0.0}}
    return {"finished": finished, "seen": seen, "builders": builders, "idle": ["a"] if finished else []}


def test_the_wait_is_made_of_growing_parts_which_hand_on_what_was_seen() -> None:
    parts = Parts(answer(b=10.0), answer(b=40.0), answer(True, a=60.0))
    assert parts.run(timeout=1000)["finished"]
    assert [given["timeout"] for given in parts.given] == [30, 60, 120]
    assert [given.get("seen") for given in parts.given] == [None, {"b": 10.0}, {"b": 40.0}]
    assert all(given["policy"] == "proceed" for given in parts.given)
    assert parts.said[0] == "0 of 1 machines idle after 30 s; waiting for a (2 jobs)"


def test_a_broken_connection_begins_the_proof_anew() -> None:
    parts = Parts(answer(a=50.0), None, answer(True))
    assert parts.run(timeout=1000)["finished"]
    assert [given.get("seen") for given in parts.given] == [None, {"a": 50.0}, {}]


@pytest.mark.parametrize("policy", ["fail", "proceed", "wait"])
def test_a_host_that_is_out_of_reach_for_ten_minutes_ends_the_wait(policy: str) -> None:
    parts = Parts(answer(), *itertools.repeat(None, 1000))
    told = parts.run(timeout=43200, policy=policy)
    assert told["failed"]
    assert "could not be reached" in told["msg"]
    assert parts.now == pytest.approx(30 + 600, abs=10)


def test_a_short_break_at_the_end_of_the_time_is_waited_out_where_it_goes_on_anyway() -> None:
    parts = Parts(answer(), *[None] * 30, answer())
    told = parts.run(timeout=100, policy="proceed")
    assert (told.get("failed"), told["finished"]) == (None, False)
    assert parts.now > 100


def test_the_time_is_over_for_a_host_out_of_reach_too() -> None:
    """Nobody answered that the time was over, so the wait went on without an end."""
    parts = Parts(answer(), *itertools.repeat(None, 1000))
    told = parts.run(timeout=100, policy="fail")
    assert told["failed"]
    assert "could not be reached" in told["msg"]
    assert parts.now == 100


def test_a_host_that_answers_again_is_waited_for_as_before() -> None:
    gone = [None] * 100
    parts = Parts(answer(), *gone, answer(), *gone, answer(True))
    assert parts.run(timeout=50, policy="wait")["finished"]
    assert parts.given[-1]["timeout"] == 30


@pytest.mark.parametrize("policy", ["fail", "proceed"])
def test_the_time_ends_the_wait(policy: str) -> None:
    parts = Parts(*[answer() for _number in range(9)])
    assert parts.run(timeout=100, policy=policy)["finished"] is False
    assert sum(given["timeout"] for given in parts.given) == 100


def test_the_policy_to_wait_says_so_and_waits_on() -> None:
    parts = Parts(*[answer() for _number in range(5)], answer(True))
    assert parts.run(timeout=50, policy="wait")["finished"]
    assert [words for words in parts.said if "waiting on" in words] == [
        "The 50 s are over; waiting on, as the policy says."
    ]


def test_a_failed_part_ends_the_wait() -> None:
    parts = Parts({"failed": True, "msg": "no"}, answer(True))
    assert parts.run(timeout=1000)["msg"] == "no"
    assert parts.said == []


def test_parts_do_not_grow_beyond_what_may_pass_unseen() -> None:
    parts = Parts(*[answer() for _number in range(7)], answer(True))
    assert parts.run(timeout=43200)["finished"]
    assert [given["timeout"] for given in parts.given] == [30, 60, 120, 240, 480, 600, 600, 600]


def test_a_line_tells_how_far_it_is() -> None:
    assert "1 of 1 machines idle after 1 min 40 s" in line(answer(True), 100)


@pytest.mark.parametrize("wrong", [{"timeout": "soon"}, {"progress": []}, {"policy": "maybe"}])
def test_options_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    from ansible.errors import AnsibleActionFail

    with pytest.raises(AnsibleActionFail, match=next(iter(wrong))):
        check_options(wrong)
    assert check_options({}) == WaitOptions(43200.0, "fail", 30.0)
    assert check_options({"timeout": -5, "progress": 0}) == WaitOptions(0.0, "fail", 1.0)
