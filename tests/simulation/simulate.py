# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays settings of fleet_autoscale against a queue, and tells how long steps waited and what it cost. Touches no cloud.

python tests/simulation/simulate.py SETTINGS.yml... [--history FILE | --seed N] [--days D] [--faults] [--chart FILE.svg] [--json]

SETTINGS.yml has `fleet_autoscale_classes` and `fleet_autoscale_ceiling_usd_per_hour` as the inventory has them, and optionally
`simulation` (step_seconds, big_step_seconds, boot_seconds, slots, interval_seconds). Several files are compared on the same queue. Channels
are not looked at. The exit code is 1 when the ceiling was passed, or a machine was forgotten or removed while it was busy.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / ".collections"))

import yaml  # noqa: E402 - the collection must be found first

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import (  # noqa: E402
    Limits,
    Settings,
    read_classes,
    settings_problems,
)
from fleet_chart import chart  # noqa: E402
from fleet_history import History, generated, recorded  # noqa: E402
from fleet_simulator import Faults, Report, Setup, Simulator  # noqa: E402

FAULTS = Faults(
    queue_down=0.05, jobs_down=0.05, jobs_renamed=0.02, api_error=0.05, stuck=0.03, failed=0.03, killed=0.03, state_lost=0.02,
    reclaimed=0.0001,
)  # fmt: skip


def main() -> int:
    options = arguments()
    history = (
        recorded(options.history) if options.history else generated(options.seed, options.days, scale=options.scale)
    )
    reports: dict[str, Report] = {}
    for path in options.settings:
        settings, changes = read_settings(path)
        setup = Setup(seed=options.seed, faults=FAULTS if options.faults else Faults(), **changes)
        reports[path.stem] = Simulator(history, settings, setup).run()
    if options.chart:
        options.chart.write_text(chart(reports, f"Queue {history.name}"), encoding="utf-8")
    print(
        json.dumps(as_json(reports, history, options.seed), indent=2)
        if options.json
        else table(reports, history, options.seed)
    )
    return int(any(report.violations for report in reports.values()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tests/simulation/simulate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", nargs="+", type=Path, help="YAML files with settings to compare")
    parser.add_argument("--history", type=Path, help="recorded queue; without it one is generated")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the generated queue, of the steps' lengths and of the faults"
    )
    parser.add_argument("--days", type=float, default=2, help="length of the generated queue")
    parser.add_argument("--scale", type=float, default=1, help="steps of the generated queue, as a factor")
    parser.add_argument(
        "--faults", action="store_true", help="let readings fail, calls fail, machines break and controllers die"
    )
    parser.add_argument("--chart", type=Path, help="SVG file to write")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser.parse_args()


def read_settings(path: Path) -> tuple[Settings, dict[str, Any]]:
    """The declaration, refused in the same words as the role refuses it."""
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    classes = declared.get("fleet_autoscale_classes", [])
    ceiling = declared.get("fleet_autoscale_ceiling_usd_per_hour")
    names = {offer.get("channel") for size in classes for offer in size.get("offers", [])}
    channels = [{"name": name, "base_url": "http://192.0.2.1"} for name in names]
    problems = settings_problems(classes, channels, "lab", ceiling)
    if problems:
        sys.exit(f"{path}: {'; '.join(problems)}")
    sizes = read_classes(
        [{**size, "offers": [{**offer, "channel": "stable"} for offer in size["offers"]]} for size in classes]
    )
    limits = {
        field.name: declared[f"fleet_autoscale_{field.name}"]
        for field in dataclasses.fields(Limits)
        if f"fleet_autoscale_{field.name}" in declared
    }
    return Settings(Limits(**{"fleet": "lab", "owner": "autoscale", **limits}), sizes), declared.get("simulation", {})


def table(reports: dict[str, Report], history: History, seed: int) -> str:
    """One column for each file of settings."""
    rows: list[tuple[str, list[str]]] = [("", list(reports))]
    for name, read in ROWS:
        rows.append((name, [read(report) for report in reports.values()]))
    wide = max(12, *(len(cell) + 2 for _name, cells in rows for cell in cells))
    lines = [f"{history.name}, {history.seconds / 3600:.0f} hours, seed {seed}"]
    lines += [f"{name:<24}" + "".join(cell.rjust(wide) for cell in cells) for name, cells in rows]
    for name, report in reports.items():
        lines += [f"{name}: VIOLATION: {words}" for words in report.violations[:10]]
    return "\n".join(lines)


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


ROWS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("steps built", lambda report: str(len(report.waits))),
    ("still waiting", lambda report: str(report.waiting_at_end)),
    ("waited, mean", lambda report: minutes(sum(report.waits) / max(1, len(report.waits)))),
    ("waited, half of them", lambda report: minutes(report.waited(0.5))),
    ("waited, 95 of 100", lambda report: minutes(report.waited(0.95))),
    ("waited, longest", lambda report: minutes(max(report.waits, default=0))),
    ("USD", lambda report: f"{report.usd:.2f}"),
    ("machine hours", lambda report: f"{report.machine_hours:.1f}"),
    ("machines at once", lambda report: str(report.most_machines)),
    ("USD per hour, most", lambda report: f"{report.most_usd_per_hour:.2f}"),
    ("bought", lambda report: str(report.bought)),
    ("removed", lambda report: str(report.removed)),
    ("reclaimed", lambda report: str(report.reclaimed)),
    ("runs", lambda report: str(report.runs)),
    ("faults", lambda report: str(sum(report.faults.values()))),
    ("violations", lambda report: str(len(report.violations))),
)


def as_json(reports: dict[str, Report], history: History, seed: int) -> dict[str, Any]:
    """The table's figures for programs, times in seconds."""
    runs = {
        name: {
            "steps_built": len(report.waits),
            "waiting_at_end": report.waiting_at_end,
            "waited_mean": sum(report.waits) / max(1, len(report.waits)),
            "waited_median": report.waited(0.5),
            "waited_95": report.waited(0.95),
            "waited_longest": max(report.waits, default=0),
            "usd": round(report.usd, 2),
            "machine_hours": round(report.machine_hours, 1),
            "most_machines": report.most_machines,
            "most_usd_per_hour": report.most_usd_per_hour,
            "bought": report.bought,
            "removed": report.removed,
            "reclaimed": report.reclaimed,
            "runs": report.runs,
            "faults": report.faults,
            "violations": report.violations,
        }
        for name, report in reports.items()
    }
    return {"history": history.name, "seconds": history.seconds, "seed": seed, "settings": runs}


if __name__ == "__main__":
    sys.exit(main())
