# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A decision of the autoscaler as lines of text that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import head, row, wrapped

COLUMNS = (
    ("class", -18),
    ("runnable", 8),
    ("wanted", 6),
    ("least", 5),
    ("most", 4),
    ("there", 5),
    ("build", 5),
    ("max", 4),
)
ACTIONS = ("create", "restore", "drain", "remove", "keep")

Json = Mapping[str, Any]


def autoscale_lines(plan: Json, kept: bool = True) -> list[str]:
    """Table of the classes, what is done and why, what is kept and why, cost, and what else an operator should know."""
    lines = head(COLUMNS)
    lines += [_class_row(each) for each in plan["classes"]]
    for each in plan["classes"]:
        words = each["obstacle"] or (each["reason"] if each["wanted"] is None else "")
        lines += wrapped(f"{each['name']}: {words}") if words else []
    lines += _actions(plan, kept)
    lines += wrapped(
        f"{plan['usd_per_hour']:.2f} USD per hour committed, {plan['usd_per_hour_after']:.2f} with what is bought; "
        f"ceiling {plan['ceiling_usd_per_hour']:.2f}"
    )
    return lines + [line for note in plan["notes"] for line in wrapped(f"note: {note}")]


def _actions(plan: Json, kept: bool) -> list[str]:
    lines: list[str] = []
    for action in ACTIONS:
        for decision in plan["decisions"]:
            if decision["action"] == action and (kept or action != "keep"):
                lines += wrapped(f"{action} {decision['builder'] or decision['class']}: {decision['reason']}")
    return lines if plan["acts"] else [*lines, "nothing is to be done"]


def _class_row(each: Json) -> str:
    fields = ("runnable", "wanted", "at_least", "at_most", "serving", "building", "max")
    return row([each["name"], *("?" if each[field] is None else str(each[field]) for field in fields)], COLUMNS)
