# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/plans.md from the data files of nix/plans: `python docs/plans_table.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PLANS = DOCS.parent / "nix" / "plans"
TARGET = DOCS / "plans.md"

INTRODUCTION = """\
# Plans

Written by `docs/plans_table.py` from the data files in `nix/plans`; edit those. Jobs times cores are a plan's threads, in both variants.
A machine takes the variant `big-parallel` when its hostname has these words in it, else `standard`
([`nix/README.md`](../nix/README.md) says how to choose otherwise). "32-bit ARM" says whether the processor runs armv7l and armv6l builds;
the machine asks its kernel before it offers them.
"""
HEAD = (
    "Plan",
    "Image",
    "Processor",
    "Threads",
    "Memory",
    "Disks",
    "Network",
    "Jobs x cores",
    "big-parallel",
    "32-bit ARM",
    "Console",
)


def read() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(PLANS.glob("*.json"))]


def table(plans: list[dict[str, Any]]) -> str:
    rows = [HEAD, ("---",) * len(HEAD), *(_row(plan) for plan in plans)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def sources(plans: list[dict[str, Any]]) -> str:
    return "\n".join(_sources_of(plan) for plan in plans)


def document() -> str:
    plans = read()
    return f"{INTRODUCTION}\n{table(plans)}\n## Where these facts come from\n\n{sources(plans)}"


def _row(plan: dict[str, Any]) -> tuple[str, ...]:
    names = [plan["slug"], *plan["aliases"]]
    return (
        ", ".join(names),
        f"`images.{plan['slug'].replace('.', '-')}`, `images.{plan['system']}`",
        plan["processor"],
        _counted(plan["threads"]),
        f"{plan['memory_gb']} GB" if plan["memory_gb"] else "not known",
        plan["disks"],
        plan["network"],
        _variant(plan["variants"]["standard"]),
        _variant(plan["variants"]["big-parallel"]),
        {True: "yes", False: "no", None: "asked at boot"}[plan["arm32"]] if "arm32" in plan else "",
        ", ".join(console.split(",")[0] for console in plan["consoles"]),
    )


def _counted(number: int | None) -> str:
    return "counted at boot" if number is None else str(number)


def _variant(variant: dict[str, int | None]) -> str:
    jobs, cores = variant["max_jobs"], variant["cores_per_job"]
    return f"{'threads / cores' if jobs is None else jobs} x {'threads / jobs' if cores is None else cores}"


def _sources_of(plan: dict[str, Any]) -> str:
    note = f"\n\n{plan['note']}" if "note" in plan else ""
    return f"**{plan['slug']}**{note}\n\n" + "".join(f"- {source}\n" for source in plan["sources"])


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
