# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds of every decision, whatever was read: the ceiling, whose machines go, and that more work never means fewer machines."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale import Readings
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import Settings
from fleet_world import NOW, bought, machine, offer, plan, readings, request, settings, size, waiting

TUNED = tuned(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OWN = "nixmetal-autoscale=small.c3-small-x86"
BIG = "nixmetal-autoscale=big.c3-small-x86"
NUMBERS = st.sampled_from([0, 0, 0, 0, 1, 7, None, "0", -1, False])
MARKS = st.sampled_from([[OWN]] * 5 + [[BIG], [OWN, BIG], ["nixmetal-autoscale=gone.x"], []])
DRAINS = st.sampled_from(
    [[]] * 5
    + [["skip-hydra", "drained-by=autoscale"]] * 2
    + [["skip-hydra", "drained-by=rollout"], ["skip-hydra"], ["drained-by=autoscale"]]
    + [["skip-hydra", "drained-by=autoscale", "drained-by=rollout"]]
)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    return tuple(draw(machines(number)) for number in range(draw(st.integers(0, 8))))


@st.composite
def machines(draw: st.DrawFn, number: int) -> dict[str, Any]:
    tags = ["nixmetal-fleet=lab", *draw(MARKS), *draw(DRAINS)]
    if draw(st.booleans()):
        tags.append(f"nixmetal-usd-per-hour={draw(st.sampled_from(['0.5', '2', 'x']))}")
    facts = machine(
        number,
        age=draw(st.sampled_from([None, 600, 3500, 3700, 7000, 90_000, 400_000])),
        builder_state=draw(st.sampled_from(["active"] * 9 + ["failed", "queued", "provisioning", "rebooting", "odd"])),
        builder_tags=tags,
        builder_draining="skip-hydra" in tags,
        builder_fleet=draw(st.sampled_from(["lab"] * 8 + ["other", None])),
        builder_mandatory_features=draw(st.sampled_from([[], [], ["big-parallel"]])),
        builder_image_id=draw(st.sampled_from([None, "a" * 32 + "-image", "b" * 32 + "-image"])),
        builder_spot=draw(st.sampled_from([None] * 6 + ["r1", "notice"])),
    )
    if facts["builder_spot"]:
        notice = "2026-11-24T12:01:00Z" if facts["builder_spot"] == "notice" else None
        name = "r1" if facts["builder_spot"] == "r1" else None
        facts["builder_spot"] = {"request_id": name, "bid": None, "termination_time": notice}
    if draw(st.integers(0, 25)) == 25:
        facts["builder_port"] = "broken"
    if draw(st.integers(0, 9)) == 9:
        facts["builder_host_key"] = None
    return facts


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Readings, Settings]:
    fleet = draw(fleets())
    timing = {
        "min": draw(st.integers(0, 3)),
        "grace_seconds": draw(st.sampled_from([0, 600])),
        "cool_down_seconds": draw(st.sampled_from([0, 600])),
        "billing_period_seconds": draw(st.sampled_from([0, 3600])),
        "max_age_seconds": draw(st.sampled_from([None, 86_400])),
        "image_id": draw(st.sampled_from([None, "a" * 32 + "-image"])),
    }
    if timing["max_age_seconds"]:
        timing["forced_age_seconds"] = draw(st.sampled_from([None, 172_800]))
    features: list[str] | None = draw(st.sampled_from([[], None]))
    queue = [{**waiting(draw(st.integers(0, 50))), "features": features}]
    queue.append(waiting(draw(st.integers(0, 50)), features=["big-parallel"]))
    history = [[NOW.timestamp() - 700 + 300 * step, draw(st.integers(0, 4))] for step in range(3)]
    declared = settings(
        size(max=draw(st.integers(3, 6)), **timing),
        size(name="big", features=["big-parallel"], **timing, share=draw(st.sampled_from([None, 0.1]))),
        ceiling_usd_per_hour=draw(st.sampled_from([100, 7.5, 2, 0.4])),
        max_machines=draw(st.sampled_from([None, 4])),
        max_creations=draw(st.sampled_from([1, 50])),
        max_removals=draw(st.sampled_from([1, 50])),
    )
    taken = readings(
        *fleet,
        queue=draw(st.sampled_from([queue] * 9 + [None])),
        jobs={facts["builder_id"]: {"jobs": draw(NUMBERS)} for facts in fleet if draw(st.integers(0, 9))},
        requests=draw(st.sampled_from([[], [request(count=2, bid=1, ids=("m1",))], [request("x", ours=False)]])),
        prices=draw(st.sampled_from([{}, {"c3.small.x86": 1.0}])),
        state=draw(st.sampled_from([None, {"schema": 1, "fleet": "lab", "wanted": {"small": history, "big": history}, "failed": {}}])),
    )  # fmt: skip
    return taken, declared


@TUNED
@given(worlds())
def test_bounds_are_never_passed(world: tuple[Readings, Settings]) -> None:
    taken, declared = world
    answer = plan(taken, declared)
    new = bought(answer)
    if new:
        assert answer["usd_per_hour_after"] <= declared.limits.ceiling_usd_per_hour
        assert new <= declared.limits.max_creations
    for entry in answer["classes"]:
        more = sum(item["new"] for item in answer["create"] if item["class"] == entry["name"])
        assert not more or entry["machines"] + more <= entry["max"]
    ours = sum(facts["builder_fleet"] == "lab" for facts in taken.builders)
    assert not new or declared.limits.max_machines is None or ours + new <= declared.limits.max_machines
    assert len(answer["remove"]) + len(answer["drain"]) <= declared.limits.max_removals


@TUNED
@given(worlds())
def test_only_known_idle_machines_of_its_own_go(world: tuple[Readings, Settings]) -> None:
    taken, declared = world
    answer = plan(taken, declared)
    by_id = {facts["builder_id"]: facts for facts in taken.builders}
    owned = {device for item in taken.requests for device in item["device_ids"]}
    for name in answer["remove"] + answer["drain"] + answer["restore"]:
        facts = by_id[name]
        tags = facts["builder_tags"]
        assert facts["builder_fleet"] == "lab"
        assert {tag for tag in tags if tag.startswith("nixmetal-autoscale=")} in ({OWN}, {BIG})
        assert name not in owned
        assert not (facts["builder_spot"] or {}).get("request_id")
        assert not (facts["builder_spot"] or {}).get("termination_time")
        assert "drained-by=rollout" not in tags
        assert ("skip-hydra" in tags) == ("drained-by=autoscale" in tags)
        assert facts["builder_port"] == 22
        number = taken.jobs.get(name, {}).get("jobs")
        known = isinstance(number, int) and not isinstance(number, bool) and number >= 0
        if name in answer["remove"]:
            never_up = facts["builder_state"] in ("failed", "queued", "provisioning")
            assert (known and number == 0) or (never_up and not known)
            assert facts["builder_state"] in ("active", "failed", "queued", "provisioning")
        if name in answer["drain"]:
            assert known
            assert "skip-hydra" not in tags
        if name in answer["restore"]:
            assert "skip-hydra" in tags


@TUNED
@given(worlds())
def test_unknown_queue_is_no_reason_for_anything(world: tuple[Readings, Settings]) -> None:
    taken, declared = world
    answer = plan(dataclasses.replace(taken, queue=None, queue_reason="down"), declared)
    assert not answer["acts"]
    assert answer["create"] == answer["remove"] == answer["drain"] == answer["restore"] == []


@TUNED
@given(worlds())
def test_unknown_jobs_remove_nothing_that_may_build(world: tuple[Readings, Settings]) -> None:
    taken, declared = world
    answer = plan(dataclasses.replace(taken, jobs={}), declared)
    by_id = {facts["builder_id"]: facts for facts in taken.builders}
    assert answer["drain"] == []
    assert {by_id[name]["builder_state"] for name in answer["remove"]} <= {"failed", "queued", "provisioning"}


@TUNED
@given(worlds())
def test_each_machine_gets_one_decision_with_a_reason(world: tuple[Readings, Settings]) -> None:
    taken, declared = world
    answer = plan(taken, declared)
    named = sorted(entry["builder"] for entry in answer["decisions"] if entry["builder"])
    assert named == sorted(facts["builder_id"] for facts in taken.builders if facts["builder_fleet"] == "lab")
    assert all(entry["reason"] for entry in answer["decisions"])
    assert sum(entry["action"] == "create" for entry in answer["decisions"]) == bought(answer)


@TUNED
@given(fleets(), st.integers(0, 60), st.integers(0, 60), st.sampled_from([1.5, 100]))
def test_more_work_never_means_fewer_machines(fleet: Any, first: int, more: int, ceiling: float) -> None:
    declared = settings(size(offers=[offer()], max=8), ceiling_usd_per_hour=ceiling)

    def after(runnable: int) -> int:
        numbers = {facts["builder_id"]: {"jobs": 0} for facts in fleet}
        answer = plan(readings(*fleet, runnable=runnable, jobs=numbers, prices={"c3.small.x86": 0.5}), declared)
        return bought(answer) + len(answer["restore"]) - len(answer["remove"])

    assert after(first) <= after(first + more)


@TUNED
@given(worlds())
def test_same_readings_same_decisions(world: tuple[Readings, Settings]) -> None:
    taken, declared = world
    reordered = dataclasses.replace(taken, builders=tuple(reversed(taken.builders)))
    first, second = plan(taken, declared), plan(reordered, declared)
    for field in ("create", "remove", "drain", "restore", "classes", "state", "usd_per_hour"):
        assert first[field] == second[field], field


def test_properties_are_tried_on_worlds_where_something_happens() -> None:
    """A generator that never leads to a removal would prove nothing."""
    seen = {"create": 0, "remove": 0, "drain": 0, "restore": 0}

    @tuned(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(worlds())
    def look(world: tuple[Readings, Settings]) -> None:
        answer = plan(*world)
        for action in seen:
            seen[action] += bool(answer[action])

    look()
    assert min(seen.values()) >= 2, seen
