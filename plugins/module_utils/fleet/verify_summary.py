# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What test builds came to, as lines of text that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import unbroken


def verify_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each build, and below one that failed the reason; one that was not asked itself says so."""
    passed = sum(not result["problem"] for result in results)
    lines = [f"Test builds  {passed} of {len(results)} passed"]
    for result in results:
        outcome = (
            ("failed" if result["asked"] else "not asked") if result["problem"] else f"passed, {result['image_id']}"
        )
        # The machine and its outcome are two lines: together they are wider than 80 columns.
        lines += [
            f"  {result['builder']}  {result['system']}".rstrip(),
            f"    {outcome}",
            *unbroken(" ".join(result["problem"].split()), "      "),
        ]
    return lines
