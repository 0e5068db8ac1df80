# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs by a timer and fails is told, and fails all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def told(fleet: Any) -> Any:
    place = fleet.root / "told"
    place.unlink(missing_ok=True)
    return place


def message(told: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    assert said["event"] == "failure"
    return said


def play(fleet: Any, told: Any, name: str, **variables: Any) -> str:
    done = fleet.play(name, fleet_notify_command=["sh", "-c", f"cat > {told}"], **variables)
    assert done.returncode != 0, done.stdout + done.stderr
    return str(done.stdout)


def test_the_autoscaler_tells_of_an_incomplete_reading(fleet: Any, told: Any) -> None:
    fleet.lab.post("/faults", json={"kind": "status", "status": 500, "path": "*", "count": None}).raise_for_status()
    try:
        play(fleet, told, "autoscale")
    finally:
        fleet.lab.delete("/faults").raise_for_status()
    assert "No complete reading of the machines" in message(told)["text"]


def test_the_autoscaler_tells_what_it_stopped_at(fleet: Any, told: Any) -> None:
    """Nothing is declared here, which the role refuses; the lock is given back."""
    play(fleet, told, "autoscale", fleet_autoscale_classes=[])
    assert message(told)["text"].startswith("The autoscaler stopped at: ")
    assert not list((fleet.root / "locks").glob("*.lock"))


def test_a_reclaim_tells_of_an_incomplete_reading(fleet: Any, told: Any) -> None:
    fleet.lab.post("/faults", json={"kind": "status", "status": 500, "path": "*", "count": None}).raise_for_status()
    try:
        play(fleet, told, "reclaim")
    finally:
        fleet.lab.delete("/faults").raise_for_status()
    assert message(told)["text"].startswith("It is not known which machines will be reclaimed. No complete reading")
