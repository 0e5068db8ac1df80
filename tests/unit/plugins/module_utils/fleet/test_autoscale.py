# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the autoscaler decides, case by case."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from fleet_world import (
    HOUR,
    NOW,
    bought,
    drained,
    jobs,
    machine,
    offer,
    plan,
    readings,
    reason_of,
    request,
    requested,
    settings,
    size,
    waiting,
)

BIG = size(name="big", features=["big-parallel"], divisor=1)


@pytest.mark.parametrize(("runnable", "machines"), [(0, 0), (1, 1), (10, 1), (11, 2), (41, 5), (10_000, 5)])
def test_one_machine_for_each_divisor_that_was_begun_up_to_max(runnable: int, machines: int) -> None:
    assert bought(plan(readings(runnable=runnable))) == machines


def test_ignored_steps_need_no_machine_and_the_original_division_can_be_had() -> None:
    rounded_down = settings(size(ignored_runnable=9))
    assert [bought(plan(readings(runnable=steps), rounded_down)) for steps in (9, 19, 20)] == [0, 1, 2]


def test_min_is_there_when_nothing_waits() -> None:
    answer = plan(readings(), settings(size(min=2)))
    assert answer["create"] == [
        {
            "name": "small-c3-small-x86-am-50",
            "class": "small",
            "offer": "c3-small-x86",
            "metro": "am",
            "new": 2,
            "count": 2,
        }
    ]


@pytest.mark.parametrize("name", ["nothing", "busy"])
def test_unknown_queue_changes_nothing(name: str) -> None:
    fleet = [
        machine(1),
        drained(2),
        machine(3, builder_state="failed"),
        machine(4, age=9 * HOUR, builder_state="queued"),
    ]
    answer = plan(readings(*fleet, runnable=None), settings(size(min=5, max_age_seconds=HOUR, forced_age_seconds=HOUR)))
    assert not answer["acts"]
    assert answer["classes"][0]["wanted"] is None
    assert reason_of(answer, "m1").startswith("Hydra is down")


def test_features_decide_the_class() -> None:
    both = settings(size(), BIG)
    queue = [
        waiting(10),
        waiting(3, features=["big-parallel", "kvm"]),
        waiting(5, features=["kvm"]),
        waiting(7, "aarch64-linux"),
    ]
    answer = plan(readings(queue=queue), both)
    assert [each["runnable"] for each in answer["classes"]] == [15, 3]
    assert answer["notes"] == ["7 runnable steps of aarch64-linux are of no class"]


def test_newer_runner_without_features_needs_a_share() -> None:
    queue = [{"system": "x86_64-linux", "features": None, "runnable": 100, "running": 0}]
    assert bought(plan(readings(queue=queue))) == 5, "a class alone in its system gets all"
    answer = plan(readings(queue=queue), settings(size(share=0.9), BIG))
    assert [each["wanted"] for each in answer["classes"]] == [5, None]
    assert "the class has no share of them" in answer["classes"][1]["reason"]
    assert {entry["class"] for entry in answer["create"]} == {"small"}
    shared = plan(readings(queue=queue), settings(size(share=0.9), {**BIG, "share": 0.1}))
    assert [each["runnable"] for each in shared["classes"]] == [90, 10]


def test_need_must_last_for_the_grace_period() -> None:
    declared = settings(size(grace_seconds=300))
    state: Any = None
    seen = []
    for minute, runnable in [(0, 50), (2, 20), (4, 50), (6, 50), (8, 50), (10, 50)]:
        now = NOW + timedelta(minutes=minute)
        answer = plan(readings(runnable=runnable, state=state, now=now), declared)
        state = answer["state"]
        seen.append(bought(answer))
    assert seen == [0, 0, 0, 2, 2, 5], "what every reading of the last five minutes wanted"


def test_machines_go_only_after_the_cool_down() -> None:
    declared = settings(size(cool_down_seconds=600))
    state: Any = None
    seen = []
    for minute, runnable in [(0, 10), (5, 0), (10, 0), (15, 0)]:
        now = NOW + timedelta(minutes=minute)
        answer = plan(readings(machine(1), runnable=runnable, state=state, now=now), declared)
        state = answer["state"]
        seen.append(answer["remove"])
    assert seen == [[], [], [], ["m1"]]


@pytest.mark.parametrize(
    "state",
    [None, {}, [], "x", {"schema": 2}, {"schema": 1, "fleet": "other", "wanted": {"small": [[0, 0]]}},
     {"schema": 1, "fleet": "lab", "wanted": {"small": [[0, None]]}}, {"schema": 1, "fleet": "lab", "wanted": {"small": 7}}],
)  # fmt: skip
def test_lost_state_is_safe(state: Any) -> None:
    declared = settings(size(grace_seconds=300, cool_down_seconds=300, min=1))
    answer = plan(readings(machine(1), machine(2), runnable=50, state=state), declared)
    assert not answer["acts"]
    assert answer["state"]["wanted"] == {"small": [[NOW.timestamp(), 5]]}


def test_a_gap_in_the_readings_counts_for_nothing() -> None:
    declared = settings(size(cool_down_seconds=600))
    before = {
        "schema": 1,
        "fleet": "lab",
        "wanted": {"small": [[(NOW - timedelta(hours=1)).timestamp(), 0]]},
        "failed": {},
    }
    answer = plan(readings(machine(1), state=before), declared)
    assert answer["remove"] == []
    assert "without a gap" in reason_of(answer, "m1")


def test_a_clock_set_back_makes_history_of_the_future_vanish() -> None:
    ahead = {
        "schema": 1,
        "fleet": "lab",
        "wanted": {"small": [[(NOW + timedelta(hours=1)).timestamp(), 5]]},
        "failed": {},
    }
    assert plan(readings(state=ahead), settings(size(cool_down_seconds=600)))["state"]["wanted"]["small"] == [
        [NOW.timestamp(), 0]
    ]


@pytest.mark.parametrize(
    ("facts", "reading", "words"),
    [
        (machine(1), 3, "busy: 3 jobs"),
        (machine(1), None, "not known to be idle"),
        (machine(1), "0", "not known to be idle"),
        (machine(1), False, "not known to be idle"),
        (machine(1), -1, "not known to be idle"),
        (requested(1), 0, "belongs to the request r1"),
        (drained(1, "rollout"), 0, "is drained by somebody else"),
        (machine(1, tags=("skip-hydra",), builder_draining=True), 0, "is drained by somebody else"),
        (machine(1, tags=("skip-hydra", "drained-by=autoscale", "drained-by=me"), builder_draining=True), 0, "somebody else"),
        (machine(1, tags=("drained-by=autoscale",)), 0, "is drained by somebody else"),
        (machine(1, builder_tags=["nixmetal-fleet=lab"]), 0, "was not bought by the autoscaler"),
        (machine(1, builder_tags=["nixmetal-autoscale=gone.c3"]), 0, "was not bought by the autoscaler"),
        (machine(1, builder_host_key=None), 0, "not up yet"),
        (machine(1, builder_state="rebooting"), 0, "not up yet"),
        (drained(1, builder_state="rebooting"), 0, "its state is rebooting"),
        (machine(1, builder_spot={"request_id": None, "bid": None, "termination_time": "2026-11-24T12:02:00Z"}), 0, "reclaimed"),
        (machine(1, builder_termination_time="2026-11-24T12:59:00Z"), 0, "reclaimed"),
        (machine(1, builder_port="ssh"), 0, "bad facts"),
    ],
)  # fmt: skip
def test_what_is_never_removed(facts: dict[str, Any], reading: Any, words: str) -> None:
    taken = readings(facts, machine(2), jobs={"m1": {"jobs": reading}, "m2": {"jobs": 4}}, prices={"c3.small.x86": 1})
    answer = plan(taken)
    assert answer["remove"] == []
    assert words in reason_of(answer, "m1")


def test_a_machine_with_an_end_beyond_the_horizon_is_one_like_any_other() -> None:
    taken = readings(machine(1, builder_termination_time="2026-11-24T13:01:00Z"), jobs={"m1": {"jobs": 0}})
    assert plan(taken)["remove"] == ["m1"]
    assert plan(taken, settings(size(), horizon_seconds=7200))["remove"] == []


def test_machine_of_a_request_is_known_by_the_request_too() -> None:
    answer = plan(readings(machine(1), requests=[request(ids=("m1",))]))
    assert answer["remove"] == []


def test_other_fleets_are_not_looked_at() -> None:
    answer = plan(readings(machine(1, builder_fleet="other"), machine(2, builder_fleet=None)))
    assert answer["remove"] == []
    assert answer["notes"] == ["not looked at: 2 machines of other fleets, or of none"]


def test_old_and_other_image_go_first() -> None:
    declared = settings(size(max_age_seconds=10 * HOUR, image_id="b" * 32 + "-image"))
    fleet = [machine(1), machine(2, builder_image_id="b" * 32 + "-image", age=2 * HOUR), machine(3, age=11 * HOUR)]
    one = dataclasses.replace(declared.limits, max_removals=1)
    first = plan(readings(*fleet), dataclasses.replace(declared, limits=one))
    assert first["remove"] == ["m3"]
    assert plan(readings(*fleet), declared)["remove"] == ["m3", "m1", "m2"]
    assert plan(readings(*fleet, runnable=1), declared)["remove"] == ["m3", "m1"]


def test_paid_hour_is_used() -> None:
    declared = settings(size(billing_period_seconds=HOUR, billing_margin_seconds=600))
    ages = [50 * 60 - 1, 50 * 60, HOUR, HOUR + 50 * 60]
    answer = plan(readings(*(machine(number, age=age) for number, age in enumerate(ages))), declared)
    assert answer["remove"] == ["m3", "m1"]
    assert "paid for 60 minutes more" in reason_of(answer, "m2")


def test_own_drain_is_finished_when_idle_and_lifted_when_needed() -> None:
    assert plan(readings(drained(1)))["remove"] == ["m1"]
    busy = plan(readings(drained(1), jobs=jobs(m1=2)))
    assert (busy["remove"], reason_of(busy, "m1")) == ([], "draining, busy: 2 jobs")
    needed = plan(readings(drained(1), runnable=11))
    assert (needed["restore"], needed["remove"], bought(needed)) == (["m1"], [], 1)


def test_another_drain_counts_as_a_machine() -> None:
    """During a rollout nothing is bought in the place of what comes back."""
    assert not plan(readings(drained(1, "rollout"), runnable=5))["acts"]


def test_old_machine_is_replaced_successor_first() -> None:
    declared = settings(size(min=1, max_age_seconds=10 * HOUR))
    old = machine(1, age=11 * HOUR)
    alone = plan(readings(old), declared)
    assert (bought(alone), alone["remove"], alone["drain"]) == (1, [], [])
    coming = plan(readings(old, machine(2, age=60, builder_state="provisioning")), declared)
    assert not coming["acts"]
    idle = plan(readings(old, machine(2)), declared)
    assert idle["remove"] == ["m1"]
    busy = plan(readings(old, machine(2), jobs=jobs(m1=3, m2=0)), declared)
    assert (busy["remove"], busy["drain"]) == ([], ["m1"])
    unknown = plan(readings(old, machine(2), jobs=jobs(m1=None, m2=0)), declared)
    assert not unknown["acts"], "nor does its successor go in its place"


def test_forced_age_drains_one_without_room_for_a_successor() -> None:
    declared = settings(size(min=2, max=2, max_age_seconds=HOUR, forced_age_seconds=10 * HOUR))
    fleet = [machine(1, age=11 * HOUR), machine(2, age=12 * HOUR)]
    answer = plan(readings(*fleet, jobs=jobs(m1=1, m2=5)), declared)
    assert (answer["drain"], answer["remove"], bought(answer)) == (["m2"], [], 0)
    assert plan(readings(fleet[0], drained(2, age=12 * HOUR), jobs=jobs(m1=1, m2=5)), declared)["drain"] == []
    assert plan(readings(*fleet, jobs={}), declared)["drain"] == [], "what is not known is not drained"


@pytest.mark.parametrize("state", ["queued", "provisioning", "failed"])
def test_stuck_machine_is_replaced_and_removed(state: str) -> None:
    answer = plan(readings(machine(1, age=2 * HOUR, builder_state=state, builder_host_key=None), runnable=1, jobs={}))
    assert (answer["remove"], bought(answer)) == (["m1"], 1)
    assert "it will not build" in reason_of(answer, "m1")


def test_machine_that_comes_up_counts() -> None:
    assert not plan(readings(machine(1, age=60, builder_state="provisioning"), runnable=1))["acts"]


def test_failed_machine_that_works_is_left() -> None:
    answer = plan(readings(machine(1, builder_state="failed"), jobs=jobs(m1=1)))
    assert answer["remove"] == []


def test_silent_machine_is_told() -> None:
    answer = plan(readings(machine(1, age=5 * HOUR, builder_host_key=None), jobs={}))
    assert (answer["acts"], answer["notes"]) == (
        False, ["m1 is active, but has published no host key in 5.0 hours: look at its console"]
    )  # fmt: skip


def test_ceiling_counts_requests_at_their_most() -> None:
    taken = readings(requested(1), runnable=50, requests=[request(count=4), request("r2", 50, 9, ours=False)])
    answer = plan(taken, settings(ceiling_usd_per_hour=3.2))
    assert (answer["usd_per_hour"], bought(answer), answer["usd_per_hour_after"]) == (2.0, 2, 3.0)
    assert "would pass the ceiling of 3.2" in answer["classes"][0]["obstacle"]


def test_machine_of_unknown_price_stops_purchases() -> None:
    stranger = machine(1, builder_tags=["nixmetal-fleet=lab"], builder_plan="x.large")
    answer = plan(readings(stranger, runnable=50))
    assert bought(answer) == 0
    assert "give the price in fleet_autoscale_prices" in answer["classes"][0]["obstacle"]
    assert bought(plan(readings(stranger, runnable=50, prices={"x.large": 2.5}))) == 4
    assert bought(plan(readings({**stranger, "builder_reservation_id": "r"}, runnable=50))) == 4


def test_of_two_prices_on_a_machine_the_higher_counts() -> None:
    """As when the tags of a lifted bid were written beside those of the one before."""
    answer = plan(readings(machine(1, tags=("nixmetal-usd-per-hour=2.5", "nixmetal-usd-per-hour=0.9"))))
    assert answer["usd_per_hour"] == 2.5


def test_a_machine_that_two_classes_claim_is_nobodys_to_remove() -> None:
    both = machine(1, tags=("nixmetal-autoscale=big.c3-small-x86",))
    answer = plan(readings(both), settings(size(), BIG))
    assert answer["remove"] == []
    assert "was not bought by the autoscaler" in reason_of(answer, "m1")


def test_classes_share_the_ceiling_in_turn_min_first() -> None:
    declared = settings(size(), {**BIG, "min": 1}, ceiling_usd_per_hour=1.5)
    answer = plan(readings(queue=[waiting(50), waiting(9, features=["big-parallel"])]), declared)
    assert {entry["class"]: entry["new"] for entry in answer["create"]} == {"small": 1, "big": 2}


@pytest.mark.parametrize(("limits", "number"), [({"max_machines": 3}, 2), ({"max_creations": 1}, 1)])
def test_other_limits(limits: dict[str, int], number: int) -> None:
    taken = readings(machine(1, builder_tags=["nixmetal-fleet=lab"]), runnable=50, prices={"c3.small.x86": 0})
    assert bought(plan(taken, settings(**limits))) == number


def test_offers_in_order_of_preference() -> None:
    def sold(plan_name: str, metro: str, spot: float | None, demand: float | None = None) -> dict[str, Any]:
        return {
            "plan": plan_name,
            "metro": metro,
            "spot_price_usd_per_hour": spot,
            "on_demand_price_usd_per_hour": demand,
        }

    declared = settings(size(offers=[offer(), offer(plan="m3.large.x86", kind="on_demand", max_bid_usd_per_hour=3)]))

    def chosen(*entries: dict[str, Any], state: Any = None) -> Any:
        taken = readings(runnable=1, offers={"equinix_metal": {"offers": list(entries)}}, state=state)
        answer = plan(taken, declared)
        return [(entry["offer"], entry["metro"]) for entry in answer["create"]] or answer["classes"][0]["obstacle"]

    first, second = sold("c3.small.x86", "da", 0.4), sold("m3.large.x86", "am", None, 2.5)
    assert chosen(first, second) == [("c3-small-x86", "da")]
    assert chosen(sold("c3.small.x86", "am", 0.5)) == [("c3-small-x86", "am")], "at the bid, and not above it"
    assert chosen(sold("c3.small.x86", "am", 5), second) == [("m3-large-x86", "am")]
    assert chosen(sold("m3.large.x86", "am", 1, 3.01)).endswith(
        "m3.large.x86 is not to be had in am, da within 3 USD, failed there lately, or is paused"
    )
    lately = {"schema": 1, "fleet": "lab", "wanted": {}, "failed": {"small-c3-small-x86-da-50": NOW.timestamp() - 60}}
    assert chosen(first, second, state=lately) == [("m3-large-x86", "am")]
    assert chosen(first, sold("c3.small.x86", "am", 0.4), state=lately) == [("c3-small-x86", "am")]
    paused = readings(runnable=1, paused=[{"plan": "c3.small.x86", "metro": "am"}])
    assert plan(paused, declared)["create"][0]["metro"] == "da", "machines were reclaimed there again and again"
    again = readings(machine(1), machine(2, builder_location="da"), runnable=30)
    assert [(entry["new"], entry["count"]) for entry in plan(again)["create"]] == [(1, 2)], (
        "machines alike in metro and price"
    )


def test_machines_of_others_count_for_the_class_whose_work_they_do() -> None:
    both = settings(size(), BIG)
    queue = [waiting(10), waiting(1, features=["big-parallel"])]
    small = requested(1, builder_tags=["nixmetal-fleet=lab"])
    big = requested(2, builder_tags=["nixmetal-fleet=lab"], builder_mandatory_features=["big-parallel"])
    answer = plan(readings(small, big, queue=queue, requests=[request(count=2)]), both)
    assert not answer["acts"]
    assert [each["serving"] for each in answer["classes"]] == [1, 1]
