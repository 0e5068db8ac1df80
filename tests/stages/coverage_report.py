# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stage coverage: which lines and branches of plugins/ the unit tests and the integration targets run, together.

The playbooks and modules that tests start are measured too: every Python below them starts coverage by itself. A module runs from
an archive of its own, whose paths are brought back to the checkout's when the data are combined.
"""

from __future__ import annotations

import re
import shutil
import sys

import ansible_tests
import pytests
import tree
from commands import CACHE, CHECKOUT, TOOLS, capture, environment
from outcome import Outcome

FOLDER = CACHE / "coverage"
SETTINGS = f"""\
[run]
branch = true
parallel = true
data_file = {FOLDER}/data/units
include =
    */ansible_collections/nixmetal/builders/plugins/*
    {CHECKOUT}/plugins/*

[paths]
plugins =
    {CHECKOUT}/plugins
    */ansible_collections/nixmetal/builders/plugins

[report]
include = {CHECKOUT}/plugins/*
skip_empty = true
show_missing = true
"""
# A Python that has no coverage, such as the system's, runs as ever. What leaves by os._exit, as Ansible's workers and a stream's
# processes do, would take its data along.
START = """\
try:
    import coverage
except ImportError:
    pass
else:
    import os

    coverage.process_startup()
    leave = os._exit

    def save_and_leave(code):
        measured = coverage.Coverage.current()
        if measured is not None:
            measured.stop()
            measured.save()
        leave(code)

    os._exit = save_and_leave
"""
# ansible-test writes one file for each process, below its output.
INTEGRATION = tree.COPY / "tests" / "output" / "coverage"


def coverage(long: bool, folder: str = "tests/unit", targets: tuple[str, ...] = ()) -> Outcome:
    """Runs both under measurement, and keeps .cache/coverage/report.txt and html/index.html; a folder and targets narrow it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.rmtree(INTEGRATION, ignore_errors=True)
    prepare(SETTINGS)
    outcome = pytests.units(long, folder, measured())
    outcome.stage = "coverage"
    ansible_tests.add(outcome, "integration", ansible_tests.measured_integration(*targets))
    report(outcome)
    return outcome


def prepare(settings: str) -> None:
    """Makes the folder, and what every Python starts with that finds it on its path."""
    (FOLDER / "data").mkdir(parents=True)
    (FOLDER / "start").mkdir()
    (FOLDER / "coveragerc").write_text(settings, encoding="utf-8")
    (FOLDER / "start" / "sitecustomize.py").write_text(START, encoding="utf-8")


def measured() -> dict[str, str]:
    """The variables by which they find it."""
    return {"PYTHONPATH": str(FOLDER / "start"), "COVERAGE_PROCESS_START": str(FOLDER / "coveragerc")}


def report(outcome: Outcome) -> None:
    """Combines the data, and writes the report as text and as pages."""
    data = [str(path) for path in [*(FOLDER / "data").iterdir(), *INTEGRATION.glob("integration=*")]]
    steps = [
        ["combine", "--keep", "--quiet", "--data-file", str(FOLDER / "all"), *data],
        ["html", "--quiet", "--data-file", str(FOLDER / "all"), "--directory", str(FOLDER / "html")],
        ["report", "--data-file", str(FOLDER / "all")],
    ]
    said = ""
    for verb, *rest in steps:
        command = [str(TOOLS / "coverage"), verb, "--rcfile", str(FOLDER / "coveragerc"), *rest]
        code, said = capture(command, environment())
        if code != 0:
            print(said, file=sys.stderr)
            outcome.add_failure(f"coverage {verb} ended with exit code {code}")
            return
    said += "".join(f"never run: {name}\n" for name in never_run(said))
    (FOLDER / "report.txt").write_text(said, encoding="utf-8")
    print(
        f"lines and branches of plugins/ that ran: {total(said)} %; {FOLDER / 'report.txt'}, {FOLDER / 'html' / 'index.html'}"
    )


def total(report: str) -> str:
    """The last number of the report's last line."""
    found = re.search(r"^TOTAL\s.*?(\d+)%\s*$", report, re.MULTILINE)
    return found[1] if found else "no"


def never_run(report: str) -> list[str]:
    """Files of plugins/ that no test even imported, which coverage does not list."""
    files = [path for path in sorted((CHECKOUT / "plugins").rglob("*.py")) if path.stat().st_size]
    names = [path.relative_to(CHECKOUT).as_posix() for path in files]
    listed = {line.split()[0] for line in report.splitlines() if line.startswith("plugins/")}
    return [name for name in names if name not in listed]
