# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a reading of the machines is trusted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reading import reading_problems

NOW = datetime(2026, 11, 23, 4, 10, tzinfo=UTC)


def reading(**changes: Any) -> dict[str, Any]:
    read_at = (NOW - timedelta(seconds=60)).isoformat().replace("+00:00", "Z")
    return {"complete": True, "source": "test", "project": None, "count": 2, "read_at": read_at, **changes}


def test_complete_reading_is_trusted() -> None:
    assert reading_problems(reading(), 2, 3600, NOW) == []


@pytest.mark.parametrize("missing", [None, {}])
def test_no_reading_is_told_as_what_it_means(missing: Any) -> None:
    assert reading_problems(missing, 0, 0, NOW) == [
        "builders_reading is not set: the inventory plugin failed or was not asked"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"complete": False}, "complete must be true, not false"),
        ({"complete": "true"}, "complete must be true, not 'true'"),
        ({"count": None}, "count must be a whole number"),
        ({"count": 3}, "found 3 machines, but the group builders has 2"),
        ({"read_at": "yesterday"}, "not a time"),
        ({"read_at": "2026-11-23T04:10:00"}, "not a time with its zone"),
        ({"read_at": "2026-11-23T03:00:00Z"}, "4200 seconds old"),
        ({"read_at": "2026-11-23T04:15:01Z"}, "301 seconds in the future"),
    ],
)
def test_reading_is_refused(change: dict[str, Any], words: str) -> None:
    (problem,) = reading_problems(reading(**change), 2, 3600, NOW)
    assert words in problem


def test_clocks_may_differ_a_little() -> None:
    assert reading_problems(reading(read_at="2026-11-23T04:15:00Z"), 2, 3600, NOW) == []


def test_any_age_is_taken_when_none_is_set() -> None:
    assert reading_problems(reading(read_at="2020-01-01T00:00:00Z"), 2, 0, NOW) == []


def test_a_reading_that_left_machines_out_is_refused_unless_that_is_allowed() -> None:
    filtered = reading(filters=["tags", "hide_draining"], fleet="lab")
    (problem,) = reading_problems(filtered, 2, 3600, NOW)
    assert "leaves machines out (by tags, hide_draining)" in problem
    (problem,) = reading_problems(filtered, 2, 3600, NOW, ["tags"])
    assert "leaves machines out (by hide_draining)" in problem
    assert reading_problems(filtered, 2, 3600, NOW, ["hide_draining", "tags"]) == []
    assert reading_problems(reading(filters=[]), 2, 3600, NOW) == []


def test_machines_that_could_not_be_read_are_named_and_refused_unless_that_is_allowed() -> None:
    partly = reading(unread=["m1"])
    (problem,) = reading_problems(partly, 2, 3600, NOW)
    assert problem == "what m1 say of themselves could not be read"
    assert reading_problems(partly, 2, 3600, NOW, (), True) == []
    assert reading_problems({**partly, "count": 3}, 2, 3600, NOW, (), True) != []
