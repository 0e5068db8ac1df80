# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What make coverage keeps: the lines of a program and of a module's archive come together, and what never ran is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import coverage_report
import pytest
from outcome import Outcome

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.nixmetal.builders.plugins.module_utils import timestamps
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = coverage_report.SETTINGS.replace(str(coverage_report.FOLDER), str(tmp_path))
    monkeypatch.setattr(coverage_report, "FOLDER", tmp_path)
    monkeypatch.setattr(coverage_report, "INTEGRATION", tmp_path / "none")
    coverage_report.prepare(settings)
    return tmp_path


def test_what_a_subprocess_ran_is_in_the_report(folder: Path) -> None:
    collections = str(coverage_report.CHECKOUT / ".collections")
    subprocess.run([sys.executable, "-c", PROGRAM, collections], check=True, env=coverage_report.measured(), cwd=folder)
    outcome = Outcome("coverage")
    coverage_report.report(outcome)
    assert outcome.failures == []
    said = (folder / "report.txt").read_text(encoding="utf-8")
    assert "\nplugins/module_utils/timestamps.py " in said
    assert coverage_report.total(said) != "no"
    assert "\nnever run: plugins/module_utils/atomic_file.py\n" in said
    assert "never run: plugins/module_utils/timestamps.py" not in said
    assert (folder / "html" / "index.html").exists()


FORKING = """
import os, sys
sys.path.insert(0, sys.argv[1])
child = os.fork()
if not child:
    from ansible_collections.nixmetal.builders.plugins.module_utils import timestamps
    os._exit(0)
os.waitpid(child, 0)
"""


def test_what_a_process_ran_that_leaves_at_once_is_in_the_report_too(folder: Path) -> None:
    """As Ansible's workers do, and the processes of a stream."""
    collections = str(coverage_report.CHECKOUT / ".collections")
    subprocess.run([sys.executable, "-c", FORKING, collections], check=True, env=coverage_report.measured(), cwd=folder)
    coverage_report.report(Outcome("coverage"))
    assert "\nplugins/module_utils/timestamps.py " in (folder / "report.txt").read_text(encoding="utf-8")


def test_no_data_at_all_is_a_failure(folder: Path) -> None:
    outcome = Outcome("coverage")
    coverage_report.report(outcome)
    assert outcome.failures == ["coverage combine ended with exit code 1"]
