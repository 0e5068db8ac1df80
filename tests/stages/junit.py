# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the counts from the JUnit XML that pytest writes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from outcome import Outcome


def count(report: Path, outcome: Outcome) -> None:
    """Adds the test cases of a report to an outcome."""
    # The report was written by the pytest that we have just run.
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        results = {child.tag for child in case}
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        if results & {"failure", "error"}:
            outcome.add_failure(name)
        elif "skipped" in results:
            outcome.skipped += 1
        else:
            outcome.passed += 1
