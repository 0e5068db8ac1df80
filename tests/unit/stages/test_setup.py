# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tools/find-python chooses a Python that starts, whatever stands first on PATH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "find-python"


def find_python(**env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", TOOL], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def shims(tmp_path: Path) -> str:
    """A folder whose Pythons end as a version manager's do when no version is chosen."""
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
        shim.chmod(0o755)
    return str(tmp_path)


def test_shims_that_do_not_start_are_passed_over(shims: str) -> None:
    done = find_python(PATH=os.pathsep.join([shims, os.environ["PATH"]]))
    assert done.returncode == 0, done.stderr
    version = subprocess.run([done.stdout.strip(), "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith(("Python 3.11.", "Python 3.12.", "Python 3.13."))


def test_a_named_python_is_the_only_candidate(shims: str) -> None:
    done = find_python(PATH=os.environ["PATH"], PYTHON=f"{shims}/python3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"PYTHON={shims}/python3" in done.stderr
    assert "make setup PYTHON=" in done.stderr
