# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as they are written down and read again; what tells no moment is none."""

from __future__ import annotations

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, parse_any, stamp

MOMENT = 1_767_225_600.0


def test_a_time_is_read_as_it_was_written() -> None:
    assert (stamp(MOMENT + 0.9), parse(stamp(MOMENT))) == ("2026-01-01T00:00:00Z", MOMENT)


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+01:00", "2025-12-31T19:00:00-05:00"],
)
def test_any_zone_is_the_same_moment(text: str) -> None:
    assert parse_any(text) == MOMENT


@pytest.mark.parametrize("text", [None, 1_767_225_600, [], "", "soon", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"])
def test_what_tells_no_moment_is_none(text: object) -> None:
    assert (parse(text), parse_any(text)) == (None, None)
