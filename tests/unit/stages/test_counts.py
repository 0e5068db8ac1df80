# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The counts with which make test ends never look better than the run."""

from __future__ import annotations

from pathlib import Path

import ansible_tests
import junit
from outcome import Outcome, failed_in_all, table

SANITY = """\
Running sanity test "ansible-doc"
WARNING: Skipping sanity test "compile" on Python 3.9 because it could not be found.
Running sanity test "compile" on Python 3.11
Running sanity test "pylint"
ERROR: Found 1 pylint issue(s) which need to be resolved:
ERROR: plugins/x.py:1:1: unnecessary-lambda: Lambda may not be necessary
Running sanity test "shebang"
FATAL: The 2 sanity test(s) listed below (out of 5) failed. See error output above for details.
pylint
shebang
FATAL: Command "/usr/bin/env ansible-test sanity" returned exit status 1.
"""

REPORT = """\
<testsuites><testsuite>
<testcase classname="a" name="works"/>
<testcase classname="a" name="fails"><failure message="x"/></testcase>
<testcase classname="a" name="cannot start"><error message="x"/></testcase>
<testcase classname="a" name="elsewhere"><skipped message="x"/></testcase>
</testsuite></testsuites>
"""


def test_failures_of_ansible_test_are_named_and_counted() -> None:
    outcome = ansible_tests.count(Outcome("sanity"), 1, SANITY, ansible_tests.SANITY_STARTED)
    assert (outcome.passed, outcome.failures) == (2, ["pylint", "shebang"])


def test_an_exit_code_without_a_list_of_failures_is_a_failure() -> None:
    outcome = ansible_tests.count(Outcome("sanity"), 127, 'Running sanity test "pep8"\n', ansible_tests.SANITY_STARTED)
    assert outcome.failures == ["ansible-test sanity ended with exit code 127"]
    assert not outcome.good


def test_integration_targets_are_counted_whether_role_or_script() -> None:
    output = "Running one integration test role\nRunning two integration test script\n"
    assert ansible_tests.count(Outcome("integration"), 0, output, ansible_tests.INTEGRATION_STARTED).passed == 2


def test_cases_of_a_report_are_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")
    outcome = Outcome("units")
    junit.count(report, outcome)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 2, 1)
    assert outcome.failures == ["a::fails", "a::cannot start"]


def test_a_stage_in_which_nothing_ran_has_failed() -> None:
    nothing = Outcome("loop", skipped=3)
    assert not nothing.good
    assert failed_in_all([nothing, Outcome("units", passed=2)]) == 1


def test_the_table_ends_with_the_counts_and_names_the_failures() -> None:
    failed = Outcome("lint", passed=4)
    failed.add_failure("ruff check")
    lines = table([failed, Outcome("units", passed=10)]).splitlines()
    assert "failed: lint: ruff check" in lines
    assert lines[-1] == "14 passed, 1 failed"
