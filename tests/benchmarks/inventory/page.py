# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/inventory-speed.md: what was measured, and what it says."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NOTES = Path(__file__).with_name("notes.md")
OURS, PEER = "ours", "equinix.cloud"
Result = dict[str, Any]
HEAD = (
    "Machines",
    "",
    "Plugin",
    "Runs",
    "CPU s",
    "Wall s",
    "Emulator's CPU s",
    "Requests",
    "Memory MB",
    "CPU, times",
    "Wall, times",
    "Others",
)
COLUMNS = (("cpu_s", ".2f"), ("wall_s", ".2f"), ("service_cpu_s", ".2f"), ("requests", ",.0f"), ("memory_mb", ".0f"))

INTRODUCTION = """\
# How fast the inventory is

Written by `python tests/benchmarks/inventory --page` from [`benchmarks/inventory.jsonl`](benchmarks/inventory.jsonl), to which `make bench`
adds. Measured beside the inventory plugin of equinix.cloud 0.12.0 (equinix 0.5.0), on the lab's emulated cloud. Each number is for
loading the source into Ansible's inventory, as each Ansible command does before anything else, without Ansible's own start. The plugins
take turns; every machine has a hostname of its own, for equinix.cloud lists machines of one hostname as one.

"The same lists": the machines are queued, and neither plugin reads events. "With the events": the machines run, and ours reads the
events of each, which equinix.cloud has no word of. Every run of "ours, cached" finds a reading in Ansible's cache, which equinix.cloud does
not have.

CPU is the plugin's process alone. The wall time holds the emulator's work too, which serves one call at a time on the same processors.
Numbers are medians; "times" is how many times as long as ours a plugin takes, as the median over the turns. "Others" is what the rest of
the machine did meanwhile, in processors: it makes every wall time longer, so that only their relation counts. Of several measurements of
the same thing the least disturbed one is shown.

![CPU seconds of ours, ours from the cache, and equinix.cloud, for 2,000 and 10,000 machines](pictures/inventory.svg)
"""


def read(path: Path) -> list[Result]:
    """What was measured before."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def chosen(results: Iterable[Result]) -> list[Result]:
    """Of each size and kind the measurement that was least disturbed by other work, the smallest first."""
    found: dict[tuple[int, bool], Result] = {}
    for result in results:
        key = (result["size"], "events" in result["lists"])
        if key not in found or _disturbed(result) < _disturbed(found[key]):
            found[key] = result
    return [found[key] for key in sorted(found)]


def _disturbed(result: Result) -> float:
    return statistics.mean(run["others"] for runs in result["runs"].values() for run in runs)


def times(result: Result, contender: str, key: str) -> float:
    """How many times as long as ours a plugin took in the same turn, in the middle of all turns."""
    pairs = zip(result["runs"][contender], result["runs"][OURS], strict=True)
    return statistics.median(theirs[key] / max(ours[key], 0.01) for theirs, ours in pairs)


def table(results: Iterable[Result]) -> str:
    """A table in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [_row(result, contender) for result in results for contender in result["runs"]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(result: Result, contender: str) -> tuple[str, ...]:
    runs = result["runs"][contender]
    middle = [format(statistics.median(run[key] for run in runs), form) for key, form in COLUMNS]
    relation = [f"{times(result, contender, key):.1f}" for key in ("cpu_s", "wall_s")]
    others = f"{statistics.median(run['others'] for run in runs):.2f}"
    return (f"{result['size']:,}", result["lists"], contender, str(len(runs)), *middle, *relation, others)


def aims(results: Iterable[Result]) -> list[str]:
    """What issue 6 asks for: three times as fast for the same lists."""
    lines = []
    for result in results:
        if "events" in result["lists"] or PEER not in result["runs"]:
            continue
        reached = times(result, PEER, "wall_s")
        cached = reached / times(result, "ours, cached", "wall_s")
        words = "reached" if min(reached, cached) >= 3 else "not reached"
        aim = f"{result['size']:,} machines, the same lists, at least 3 times as fast"
        lines.append(f"- {aim}: {reached:.1f}, and {cached:.1f} with a cached reading; {words}")
    return lines


def page(results: list[Result]) -> str:
    """The whole page."""
    shown = chosen(results)
    machines = sorted({f"- {result['machine']}, {result['at'].partition(' ')[0]}" for result in shown})
    notes = NOTES.read_text(encoding="utf-8").strip()
    aim = "\n".join(aims(shown))
    return f"{INTRODUCTION}\n{aim}\n\n{table(shown)}\n\nMeasured on\n\n" + "\n".join(machines) + f"\n\n{notes}\n"
