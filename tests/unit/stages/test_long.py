# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests marked long belong to make check-all alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytests


@pytest.mark.parametrize(("long", "runs"), [(False, False), (True, True)])
def test_long_tests_run_when_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, long: bool, runs: bool
) -> None:
    commands: list[list[str]] = []

    def note(command: list[str], *_rest: Any) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(pytests, "run", note)
    monkeypatch.setattr(pytests, "CACHE", tmp_path)
    pytests.loop(long)
    (command,) = commands
    assert ("not long" in command) is not runs
