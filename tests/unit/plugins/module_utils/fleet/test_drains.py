# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a drain is, and by which name a machine's jobs are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import drains
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines import machines_plan

Maker = Callable[..., dict[str, Any]]
TAG = "skip-hydra"


def tagged(builder: Maker, *tags: str, **changes: Any) -> dict[str, Any]:
    return builder(builder_tags=["nixmetal-fleet=ci", *tags], builder_fleet="ci", **changes)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ([], None),
        ([TAG, "drained-by=alice"], None),
        ([TAG, "drained-by=bob"], "is drained by bob, not by alice"),
        (["drained-by=bob"], "is drained by bob"),
        ([f"{TAG}=bob"], "is drained by bob"),
        ([TAG], "is drained by (unknown)"),
    ],
)
def test_anothers_drain_is_not_touched_unless_forced(builder: Maker, tags: list[str], problem: str | None) -> None:
    facts = tagged(builder, *tags)
    found = drains.drain_problems([facts], [facts["builder_id"]], TAG, "alice")
    assert [words for words in found if problem is None or problem not in words] == []
    assert bool(found) is (problem is not None)
    assert drains.drain_problems([facts], [facts["builder_id"]], TAG, "alice", force=True) == []


def test_what_is_not_ours_is_not_drained(builder: Maker) -> None:
    foreign = builder(builder_fleet=None)
    assert "not ours" in drains.drain_problems([foreign], [foreign["builder_id"]], TAG, "alice", True)[0]
    assert "no machine of this reading" in drains.drain_problems([], ["x"], TAG, "alice", True)[0]


@pytest.mark.parametrize("owner", ["", "two words", "a,b", "-x", "a=b"])
def test_an_owner_is_a_word(owner: str) -> None:
    with pytest.raises(FleetError, match="builder_drain_owner"):
        drains.check_owner(owner)


def test_each_provider_is_asked_once_for_all_of_its_machines(builder: Maker) -> None:
    fleet = [
        tagged(builder, builder_id=name, builder_provider=provider)
        for name, provider in (
            ("a", "equinix_metal"),
            ("b", "ssh_host"),
            ("c", "equinix_metal"),
            ("d", "third"),
            ("e", "third"),
        )
    ]
    assert drains.tag_requests(fleet, {"a": [TAG], "b": [TAG, "x"], "c": ["y"], "d": [], "gone": [TAG]}) == {
        "equinix_metal": {"a": [TAG], "c": ["y"]},
        "ssh_host": {"b": [TAG, "x"]},
    }


def test_a_restore_lifts_what_drains_put_there_and_nothing_else(builder: Maker) -> None:
    facts = tagged(builder, TAG, "drained-by=alice", "rebooting-from=1234", "hydra", "skip-hydration")
    assert drains.tags_to_lift(facts, TAG) == [TAG, "drained-by=alice", "rebooting-from=1234"]
    assert drains.rebooting_from(facts) == "1234"
    assert drains.rebooting_from(builder()) is None


@pytest.mark.parametrize("scheme", ["", "ssh", "ssh-ng"])
def test_the_label_is_column_one_of_the_machines_file_as_it_is_written(builder: Maker, scheme: str) -> None:
    for address in ("192.0.2.10", "2001:db8::10"):
        facts = builder(builder_address=address)
        written = machines_plan([facts], "/k", scheme)["file"].split()[0]
        asked = drains.jobs_targets([facts], [facts["builder_id"]], "prometheus", "legacy", scheme)
        assert asked[0]["label"] == written


def test_the_label_can_be_changed_and_is_the_hostname_for_the_new_queue_runner(builder: Maker) -> None:
    facts = builder(builder_address="192.0.2.10", builder_hostname="b7")
    name = [facts["builder_id"]]
    assert drains.jobs_targets([facts], name, "prometheus", user="root")[0]["label"] == "root@192.0.2.10"
    assert drains.jobs_targets([facts], name, "hydra", "new")[0]["label"] == "b7"
    own = {**facts, "builder_jobs_label": "root@short.example.org"}
    assert drains.jobs_targets([own], name, "hydra", "new")[0]["label"] == "root@short.example.org"
    assert drains.jobs_targets([builder(builder_address=None)], name, "prometheus")[0]["label"] is None


SYSTEM, ARM = "x86_64-linux", "aarch64-linux"


def built(name: str, problem: str = "", system: str = SYSTEM, asked: bool = True, boot: str = "b") -> dict[str, Any]:
    said = {"boot_id": boot, "image_id": "i"} if asked else {"boot_id": "", "image_id": ""}
    return {"builder": name, "system": system, "asked": asked, "problem": problem, **said}


def test_only_machines_that_were_asked_beside_one_that_passed_are_taken_out(builder: Maker) -> None:
    fleet = [builder(builder_id=name) for name in "abc"]
    bad, good = built("a", "another image"), built("b")
    assert drains.verify_take_out([bad, good], fleet, TAG) == ["a"]
    assert drains.verify_take_out([bad], fleet, TAG) == []
    assert drains.verify_take_out([bad, built("c", "wrong")], fleet, TAG) == []
    assert drains.verify_take_out([bad, built("b", system=ARM)], fleet, TAG) == []
    assert drains.verify_take_out([built("a", "failed", boot=""), good], fleet, TAG) == ["a"]
    # One machine of two systems is no witness of itself.
    assert drains.verify_take_out([bad, built("a")], fleet, TAG) == []
    # A full disk of the coordinator, or no busybox for the machine's system.
    assert drains.verify_take_out([built("a", "no daemon", asked=False), good], fleet, TAG) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"builder_id": "gone"},
        {"builder_state": "deprovisioning"},
        {"builder_draining": True},
        {"builder_tags": [TAG, "drained-by=rollout@ci"]},
        {"builder_fleet": None},
        {"builder_boot_id": "b", "builder_image_id": "i"},
    ],
)
def test_machines_that_changed_meanwhile_are_left_alone(builder: Maker, changes: dict[str, Any]) -> None:
    facts = builder(**{"builder_id": "a", **changes})
    assert drains.verify_take_out([built("a", "wrong"), built("b")], [facts], TAG) == []


def test_a_test_build_must_name_the_boot_that_the_machine_published_or_told(builder: Maker) -> None:
    told = {"a": {"boot_id": "told", "image_id": None, "problem": None}, "b": {"boot_id": None, "problem": "no route"}}
    published = builder(builder_id="a", builder_boot_id="published", builder_image_id="i")
    silent = [builder(builder_id=name, builder_boot_id=None, builder_image_id=None) for name in "abc"]
    assert drains.verify_expected(published, told) == {"boot_id": "published", "image_id": "i", "problem": ""}
    known, refused, missed = (drains.verify_expected(facts, told) for facts in silent)
    assert known == {"boot_id": "told", "image_id": "", "problem": ""}
    assert (refused["boot_id"], refused["problem"]) == ("", "its boot is not known: no route")
    assert "it was not asked" in missed["problem"]


def test_machines_of_one_label_are_not_told_apart(builder: Maker) -> None:
    """Also when only one of them is asked for."""
    first, second = builder(builder_hostname="same"), builder(builder_hostname="same", builder_id="other")
    assert "shares the label" in drains.jobs_targets([first, second], ["other"], "prometheus", "new")[0]["problem"]
    assert "problem" not in drains.jobs_targets([first, second], ["other"], "ssh", "new")[0]
    assert "no machine" in drains.jobs_targets([first], ["gone"])[0]["problem"]
