# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stages units and loop: pytest over tests/unit and over tests/system."""

from __future__ import annotations

import os

import junit
import nix_root
import promtool
from commands import CACHE, CHECKOUT, TOOLS, environment, run
from outcome import Outcome


def units(long: bool, folder: str = "tests/unit", more: dict[str, str] | None = None) -> Outcome:
    """The unit tests, one worker more than there are cores, for a third of the plays' time is waiting.

    Those of a file stay together, as some are told in order.

    The files come in the order in which tests/unit/conftest.py puts them, the long ones first: by the number of their tests,
    as xdist would have it, those of few and long tests would come last, and one worker would end alone with them.
    """
    options = [*_workers(more=1), "--dist", "loadfile", "--no-loadscope-reorder"]
    return _pytest("units", folder, long, options, _real_programs(long) | (more or {}))


def loop(long: bool) -> Outcome:
    """The whole loop in labs of its own: a real PXE boot and a real build on the machine. Much of it is waiting."""
    return _pytest("loop", "tests/system", long, [*_workers(), "--dist", "loadscope", "--verbose"])


def _workers(more: int = 0) -> list[str]:
    """One for each core, and some more where tests wait for processes as often as they compute."""
    return ["--numprocesses", str((os.cpu_count() or 1) + more)]


def _real_programs(long: bool) -> dict[str, str]:
    """What some unit tests ask for: a real Nix (with long, of three versions), and Prometheus with its promtool."""
    suites = (nix_root.OLDEST, nix_root.NEWER, nix_root.NEWEST) if long else (nix_root.OLDEST,)
    roots = os.environ.get("NIXMETAL_TEST_ROOTS") or ":".join(
        str(root) for root in map(nix_root.provide, suites) if root
    )
    programs = {f"NIXMETAL_TEST_{name.upper()}": path for name, path in promtool.provide().items()}
    return {"NIXMETAL_TEST_ROOTS": roots, **programs}


def _pytest(stage: str, folder: str, long: bool, options: list[str], more: dict[str, str] | None = None) -> Outcome:
    outcome = Outcome(stage)
    if not (CHECKOUT / folder).is_dir():
        outcome.add_failure(f"{folder} is missing")
        return outcome
    report = CACHE / "reports" / f"{stage}.xml"
    report.unlink(missing_ok=True)
    chosen = [] if long else ["-m", "not long"]
    command = [str(TOOLS / "pytest"), folder, "--junitxml", str(report), "--durations", "5", *options, *chosen]
    code = run(command, environment() | (more or {}))
    if report.exists():
        junit.count(report, outcome)
    if code != 0 and not outcome.failed:
        outcome.add_failure(f"pytest {folder} ended with exit code {code}")
    return outcome
