# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator reads at the end of rollout.yml and of reclaim.yml."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reclaim_summary import reclaim_lines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.rollout_summary import rollout_lines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.verify_summary import verify_lines

URL = "http://netboot.example.org/hydra-x86_64-linux/netboot.ipxe"
IMAGE = "3vlh8xfcb0ml5ixd3aqa35vdb2xv8ch0-netboot"


def machine(number: int) -> str:
    return f"5a1f0a5e-1c5b-4d0e-9a52-{number:012d}"


def step(**told: Any) -> dict[str, Any]:
    memory = {name: {"channel": URL} | kept for name, kept in told.pop("memory", {}).items()}
    empty = {"done": [], "failed": {}, "skipped": {}, "waiting": [], "under_way": [], "finished": True}
    return empty | told | {"memory": memory}


def test_a_rollout_that_went_well_says_how_each_machine_came_to_its_image() -> None:
    memory: dict[str, Any] = {
        "a": {"begun": 100.0, "tries": 1},
        "b": {"begun": 160.0, "tries": 2},
        "c": {},
        "d": {"begun": 170.0},
    }
    assert rollout_lines(step(done=["d", "a", "b", "c"], memory=memory), {URL: IMAGE}, "ci", 165.4) == [
        "4 of 4 machines of the fleet ci run their image, 0 failed",
        "Rebooted  2",
        "Time      65 s",
        f"Image     {IMAGE}",
        "  a rebooted",
        "  b asked to reboot 2 times",
        "  c ran it already",
        "  d put back into service",
    ]


def test_a_rollout_with_nothing_to_do_says_so_without_a_time() -> None:
    lines = rollout_lines(step(done=["a"], memory={"a": {}}), {URL: IMAGE}, "ci", 1.0)
    assert lines == [
        "1 of 1 machines of the fleet ci run their image, 0 failed",
        "Rebooted  0",
        f"Image     {IMAGE}",
        "  a ran it already",
    ]


def test_machines_stand_below_their_own_image() -> None:
    other = URL.replace("x86_64", "aarch64")
    memory: dict[str, Any] = {"a": {"channel": other}, "b": {}}
    lines = rollout_lines(step(done=["a", "b"], memory=memory), {URL: IMAGE, other: "arm"}, "ci", 1.0)
    assert lines[2:] == ["Image     arm", "  a ran it already", f"Image     {IMAGE}", "  b ran it already"]


def test_what_failed_or_was_left_has_its_reason_and_what_helps() -> None:
    found = step(
        failed={"a": "it did not come back in time, asked to reboot 2 times"},
        skipped={"b": "it is drained by alice"},
        waiting=["c"],
        under_way=["d"],
        finished=False,
        memory={"a": {"begun": 1.0, "tries": 2}, "b": {}, "c": {}, "d": {}},
    )
    lines = rollout_lines(found, {URL: IMAGE}, "ci", 61.0)
    assert lines[:3] == ["0 of 4 machines of the fleet ci run their image, 1 failed", "Rebooted  1", "Time      60 s"]
    assert lines[3:11] == [
        "Failed",
        "  a",
        "    it did not come back in time, asked to reboot 2 times",
        "Left as they are",
        "  b",
        "    it is drained by alice",
        "Not begun with",
        "  c",
    ]
    assert lines[11:13] == ["Still under way", "  d"]
    assert " ".join(lines[13:]).startswith("Next: mend what failed, then run rollout.yml again")


@pytest.mark.parametrize("told", [{"waiting": ["a"]}, {"failed": {"a": "why"}}, {"finished": False}])
def test_whoever_has_to_act_is_told_so(told: dict[str, Any]) -> None:
    assert any(line.startswith("Next:") for line in rollout_lines(step(**told, memory={"a": {}}), {}, "ci", 0.0))


def test_a_rollout_of_many_fits_a_terminal() -> None:
    names = [machine(number) for number in range(300)]
    failed = dict.fromkeys(
        names[100:103], "its test build failed, and it stays drained: " + "no space left on device " * 9
    )
    found = step(
        done=names[:100],
        failed=failed,
        waiting=names[200:],
        memory={name: {"begun": 1.0, "tries": 3} for name in names},
    )
    lines = rollout_lines(found, {URL: IMAGE}, "a-fleet-with-a-long-name", 1e6)
    assert max(map(len, lines)) <= 72
    assert "  ... and 80 more" in lines
    assert all(f"  {name}" in lines for name in failed)


def test_nothing_that_goes_is_one_line() -> None:
    done: dict[str, Any] = {"files": {}, "new": [], "bought": [], "singles": 0}
    assert reclaim_lines({}, "ci", done) == ["No machine of the fleet ci will be reclaimed soon."]


def test_what_was_done_about_machines_that_go() -> None:
    bid = {"name": "own", "count": 3, "max_bid_usd_per_hour": 1.5, "leaving": ["a", "b"]}
    same = {"name": "other", "count": 1, "max_bid_usd_per_hour": 9}
    done = {
        "files": {"hydra": "changed", "second": "same", "third": "newer", "fourth": "failed"},
        "new": ["a"],
        # The tags of another bid's machine were put right, and a third one had nothing to do.
        "bought": [
            {"changed": True, "bid": bid},
            {"changed": True, "bid": same},
            {"changed": False, "bid": bid | {"name": "x"}},
        ],
        "singles": 2,
    }
    assert reclaim_lines({"b": "will be reclaimed at noon", "a": "will be reclaimed at one"}, "ci", done) == [
        "2 machines of the fleet ci go soon",
        "  a",
        "    will be reclaimed at one",
        "  b",
        "    will be reclaimed at noon",
        "Machines file of fourth: NOT written, see above; they may still get",
        "  builds. Run this again",
        "Machines file of hydra: written without them",
        "Machines file of second: as before, without them",
        "Machines file of third: left as it is, for it was written from a newer",
        "  reading; run this again",
        "Remembered: 1 machine of which nothing was known",
        "Bought anew: 2 machines (own), at most 3.00 USD per hour",
    ]
    foretold = reclaim_lines({"a": "goes"}, "ci", done | {"files": {"hydra": "changed"}}, check_mode=True)
    assert foretold[3:] == [
        "Machines file of hydra: would be written without them",
        "Would be remembered: 1 machine of which nothing was known",
        "Would be bought anew: 2 machines (own), at most 3.00 USD per hour",
    ]


def test_what_was_known_and_needs_no_purchase() -> None:
    none: dict[str, Any] = {"files": {}, "new": [], "bought": [], "singles": 0}
    lines = reclaim_lines({"a": "goes"}, "ci", none)
    assert lines == [
        "1 machine of the fleet ci goes soon",
        "  a",
        "    goes",
        "Remembered and told before: all of them",
        "Nothing bought: a live request and the autoscaler replace their own",
        "  machines",
    ]


def test_a_single_machine_that_nobody_replaces_is_said() -> None:
    told = " ".join(reclaim_lines({"a": "goes"}, "ci", {"files": {}, "new": [], "bought": [], "singles": 1}))
    assert "Nothing bought for 1 machine of no request: builder_reclaim_replace is false, or" in told.replace(
        "   ", " "
    )


def test_many_that_go_fit_a_terminal() -> None:
    leaving = {machine(number): "will be reclaimed at 2026-03-01T12:02:00Z" for number in range(50)}
    bids = [
        {"changed": True, "bid": {"name": f"a-bid-with-a-name-{number}", "max_bid_usd_per_hour": 9, "leaving": ["a"]}}
        for number in range(9)
    ]
    files = {"a-coordinator-with-a-long-name.department.example.org": "failed"}
    lines = reclaim_lines(
        leaving, "a-fleet-with-a-long-name", {"files": files, "new": list(leaving), "bought": bids, "singles": 9}
    )
    assert max(map(len, lines)) <= 72


def test_test_builds_are_told_with_image_and_reason() -> None:
    good = {
        "builder": "5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01",
        "system": "aarch64-linux",
        "image_id": f"{'k' * 32}-image",
    }
    bad = {"builder": "rack1-a", "system": "", "image_id": "", "problem": "none of its systems " * 12}
    lines = verify_lines([{**good, "asked": True, "problem": ""}, {**bad, "asked": False}, {**bad, "asked": True}])
    assert lines[:4] == [
        "Test builds  1 of 3 passed",
        f"  {good['builder']}  aarch64-linux",
        f"    passed, {'k' * 32}-image",
        "  rack1-a",
    ]
    assert [line.strip() for line in lines if line.startswith("    ") and line[4] != " "][1:] == ["not asked", "failed"]
    assert "none of its systems" in lines[5]
    assert max(map(len, lines)) <= 76
    assert verify_lines([]) == ["Test builds  0 of 0 passed"]
