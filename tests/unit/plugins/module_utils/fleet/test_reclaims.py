# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator's memory of machines that were taken back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.pauses import parse_reclaims
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reclaims import (
    due,
    entries_of,
    reasons_of,
    remember_reclaims,
)


def entry(device: str, **changes: str) -> dict[str, str]:
    base = {"at": "2026-03-01T12:00:00Z", "plan": "p", "metro": "am", "termination_time": "2026-03-01T12:02:00Z"}
    return {**base, "device_id": device, **changes}


def test_each_machine_is_remembered_once(tmp_path: Path) -> None:
    path = str(tmp_path / "state" / "ci.jsonl")
    assert remember_reclaims(path, [entry("a")], check_mode=True) == ["a"]
    assert not os.path.exists(tmp_path / "state")
    assert remember_reclaims(path, [entry("b"), entry("a"), entry("b", metro="da")]) == ["a", "b"]
    assert remember_reclaims(path, [entry("a", at="2026-03-01T12:01:00Z"), entry("c")]) == ["c"]
    known = parse_reclaims(Path(path).read_text())
    assert sorted(item["device_id"] for item in known) == ["a", "b", "c"]
    assert {item["at"] for item in known} == {"2026-03-01T12:00:00Z"}


def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "ci.jsonl"
    remember_reclaims(str(path), [entry("a")])
    path.write_text(path.read_text() + '{"at": "2026', encoding="utf-8")
    for name in ("b", "c", "a"):
        remember_reclaims(str(path), [entry(name)])
    assert [item["device_id"] for item in parse_reclaims(path.read_text())] == ["a", "b", "c"]


@pytest.mark.parametrize("change", [{"plan": ""}, {"metro": None}, {"termination_time": 5}])
def test_what_is_no_reclaim_is_not_remembered(tmp_path: Path, change: Any) -> None:
    with pytest.raises(FleetError, match=f"a reclaim of a lacks {next(iter(change))}"):
        remember_reclaims(str(tmp_path / "x"), [{**entry("a"), **change}])
    assert not os.path.exists(tmp_path / "x")


def test_notices_are_told_in_words_and_remembered_where_the_place_is_known() -> None:
    notices = [{"device_id": name, "termination_time": "2026-03-01T12:02:00Z"} for name in ("a", "b", "c")]
    hosts = [
        {"builder_id": "a", "builder_plan": "p", "builder_location": "am"},
        {"builder_id": "b", "builder_plan": None, "builder_location": "am"},
    ]
    assert due(notices, 1772366519) == []
    assert due(notices, 1772366520) == notices
    assert reasons_of(notices)["c"] == "will be reclaimed at 2026-03-01T12:02:00Z"
    assert entries_of(notices, hosts, 1772366400) == [entry("a")]
