# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Terminations on the emulated cloud: only idle machines of the fleet, with the lock held and the console kept."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def fleet(make_fleet: Any) -> Any:
    fleet = make_fleet()
    fleet.launch(2)
    return fleet


def said(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join((result.stdout + result.stderr).split())


def test_a_busy_machine_a_strangers_fleet_and_a_held_lock_are_left_alone(fleet: Any, tmp_path: Path) -> None:
    name = fleet.ids()[0]
    fleet.world.jobs[fleet.address(name)] = 1
    busy = fleet.play("terminate", "--limit", name, builder_drain_timeout_seconds=1)
    assert busy.returncode != 0
    assert f"not proved idle: {name} (1 job)" in said(busy)
    foreign = fleet.play("terminate", "--limit", name, builder_terminate_fleet="other")
    assert "is not proved to be of the fleet other" in said(foreign)
    locks = Path(fleet.root / "locks")
    assert not list(locks.glob("*.lock"))  # given back after a failure too
    assert len(fleet.ids()) == 2
    fleet.world.jobs.clear()


def test_an_idle_machine_is_terminated_and_its_console_kept(fleet: Any, tmp_path: Path) -> None:
    name = fleet.ids()[0]
    command = {
        "builder_terminate_console_directory": str(tmp_path / "consoles"),
        "builder_terminate_console_command": ["echo", "the last words of %ID%"],
    }
    done = fleet.play("terminate", "--limit", name, **command)
    assert done.returncode == 0, said(done)[-3000:]
    assert name not in fleet.ids()
    kept = next((tmp_path / "consoles").glob(f"{name}-*.log"))
    assert kept.read_text() == f"the last words of {name}\n"
    assert kept.stat().st_mode & 0o777 == 0o600
