# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The row of a machine that boots goes, and that of one that could not be read stays for a while."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.filter.machines import nix_machines_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_memory import SAID, parse_memory

UNREAD: dict[str, Any] = {
    "builder_systems": [],
    "builder_features": [],
    "builder_mandatory_features": [],
    "builder_max_jobs": None,
    "builder_speed_factor": 1.0,
    "builder_host_key": None,
    "builder_endpoints": [],
    "builder_booting": None,
}


def plan(hosts: list[Any], memory: Any = None, unread: Any = (), keep: float = 3600, **leaving: str) -> dict[str, Any]:
    text = "" if memory is None else json.dumps(memory)
    return nix_machines_plan(hosts, "/key", leaving=leaving, unread=unread, memory=text, keep_seconds=keep)


@pytest.fixture
def two(builder: Any) -> list[Any]:
    return [
        builder(builder_id="m1", builder_address="192.0.2.1"),
        builder(builder_id="m2", builder_address="192.0.2.2"),
    ]


def test_a_machine_that_boots_leaves_the_file_and_is_known_to(two: list[Any]) -> None:
    two[0].update({**UNREAD, "builder_booting": True})
    made = plan(two)
    assert made["included"] == ["m2"]
    assert made["excluded"][0]["reason"].startswith("it boots")
    two[1].update({**UNREAD, "builder_booting": True})
    assert plan(two)["empty_is_known"]


def test_one_whose_key_the_operator_declares_is_believed_to_be_up(two: list[Any]) -> None:
    two[0]["builder_booting"] = True
    assert plan(two)["included"] == ["m1", "m2"]


def test_one_that_could_not_be_read_keeps_its_row(two: list[Any]) -> None:
    first = plan(two)
    two[0].update(UNREAD)
    assert plan(two, first["memory"])["included"] == ["m2"], "only what the reading calls unread"
    kept = plan(two, first["memory"], ["m1"])
    assert (kept["file"], kept["known_hosts"], kept["kept"]) == (first["file"], first["known_hosts"], ["m1"])
    assert kept["memory"]["machines"]["m1"] == first["memory"]["machines"]["m1"]


def test_a_kept_row_does_not_grow_young_and_ends(two: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    memory = plan(two)["memory"]
    begin = time.time()
    two[0].update(UNREAD)

    class Later:
        @staticmethod
        def now(_zone: Any) -> Any:
            import datetime

            return datetime.datetime.fromtimestamp(begin + Later.seconds, datetime.UTC)

        seconds = 0.0

    monkeypatch.setattr("ansible_collections.nixmetal.builders.plugins.filter.machines.datetime", Later)
    for seconds in (1800.0, 3500.0):
        Later.seconds = seconds
        made = plan(two, memory, ["m1"])
        assert made["included"] == ["m1", "m2"]
        memory = made["memory"]
    Later.seconds = 3700.0
    assert plan(two, memory, ["m1"])["included"] == ["m2"]
    assert "m1" not in plan(two, memory, ["m1"])["memory"]["machines"]


@pytest.mark.parametrize(
    "change",
    [
        {"builder_address": "192.0.2.9"},
        {"builder_draining": True},
        {"builder_state": "inactive"},
        {"builder_spot": {"request_id": None, "bid": None, "termination_time": "2026-03-01T12:00:00Z"}},
        {"builder_termination_time": "2026-03-01T12:00:00Z"},
    ],
    ids=["another-address", "draining", "state", "spot-notice", "notice"],
)
def test_what_the_provider_says_counts_all_the_same(two: list[Any], change: dict[str, Any]) -> None:
    memory = plan(two)["memory"]
    two[0].update({**UNREAD, **change})
    made = plan(two, memory, ["m1"])
    assert (made["included"], made["kept"]) == (["m2"], [])


def test_whoever_leaves_is_left_out_whatever_is_remembered(two: list[Any]) -> None:
    memory = plan(two)["memory"]
    made = plan(two, memory, ["m1"], m1="will be reclaimed", m2="will be reclaimed")
    assert made["included"] == []
    assert made["empty_is_known"]
    assert {item["reason"] for item in made["excluded"]} == {"will be reclaimed"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": 1, "machines": {}, "read_at": "soon"}',
        '{"schema": 2, "machines": {}}',
        '{"schema": 1}',
        '{"schema": 1, "machines": {"a": {"said": {}}}}',
    ],
)
def test_a_damaged_memory_is_said(text: str) -> None:
    with pytest.raises(FleetError, match="remove nix_machines_memory_file"):
        parse_memory(text, 1, 1)


def test_nothing_secret_or_of_the_provider_is_remembered(two: list[Any]) -> None:
    entry = plan(two)["memory"]["machines"]["m1"]
    assert set(entry) == {"heard_at", "address", "said"}
    assert set(entry["said"]) == set(SAID)


def written(read_at: str, before: Any = None, keep: float = 3600) -> dict[str, Any]:
    return nix_machines_plan(
        [], "/key", memory="" if before is None else json.dumps(before), keep_seconds=keep, read_at=read_at
    )


@pytest.mark.parametrize("keep", [0, 3600])
def test_a_reading_that_is_older_than_the_written_one_is_told(keep: float) -> None:
    first = written("2026-03-01T12:00:15Z", keep=keep)
    assert first["newer_reading"] == ""
    for older in ("2026-03-01T12:00:14Z", "2026-03-01T12:00:14.9+00:00", "2026-03-01T12:59:59+01:00"):
        assert written(older, first["memory"], keep)["newer_reading"] == "2026-03-01T12:00:15Z"
    for other in ("2026-03-01T12:00:15Z", "2026-03-01T13:00:15+01:00", "2026-03-01T12:00:16Z", ""):
        assert written(other, first["memory"], keep)["newer_reading"] == ""


def test_a_memory_from_before_that_was_remembered_or_from_the_future_holds_nothing_back() -> None:
    now = time.time()
    assert written("2026-03-01T12:00:00Z", {"schema": 1, "machines": {}})["newer_reading"] == ""
    for ahead, told in ((60, True), (3700, False)):
        then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + ahead))
        assert (
            bool(written("2026-03-01T12:00:00Z", {"schema": 1, "machines": {}, "read_at": then})["newer_reading"])
            is told
        )


def test_without_keeping_rows_only_the_reading_is_remembered(two: list[Any]) -> None:
    assert plan(two, keep=0)["memory"]["machines"] == {}
