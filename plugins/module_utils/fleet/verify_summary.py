# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What test builds came to, as lines of text that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 72


def verify_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each build, and below one that failed the reason; one that was not asked itself says so."""
    passed = sum(not result["problem"] for result in results)
    lines = [f"Test builds  {passed} of {len(results)} passed"]
    for result in results:
        outcome = (
            ("failed" if result["asked"] else "not asked") if result["problem"] else f"passed, {result['image_id']}"
        )
        # The machine and its outcome are two lines: together they are wider than 80 columns.
        lines += [f"  {result['builder']}  {result['system']}".rstrip(), f"    {outcome}", *_reason(result["problem"])]
    return lines


def _reason(problem: str) -> list[str]:
    return textwrap.wrap(
        " ".join(problem.split()),
        WIDTH,
        initial_indent="      ",
        subsequent_indent="      ",
        break_on_hyphens=False,
        break_long_words=False,
    )
