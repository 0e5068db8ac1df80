# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decisions played over days: under faults nothing busy goes, nothing is forgotten and no limit is passed; and what the simulator
tells is so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import autoscale_removal
from fleet_history import Arrival, History, generated, recorded
from fleet_simulator import Faults, Report, Setup, Simulator
from fleet_world import settings, size

CHECKOUT = Path(__file__).resolve().parents[5]
HOUR = 3_600
FAULTS = Faults(
    queue_down=0.1, jobs_down=0.1, jobs_renamed=0.1, api_error=0.1, stuck=0.05, failed=0.05, killed=0.05, state_lost=0.1,
    reclaimed=0.0002,
)  # fmt: skip
LARGE = settings(
    size(max=130, min=20, divisor=8, grace_seconds=600, cool_down_seconds=1200, max_age_seconds=5 * HOUR,
         billing_period_seconds=HOUR, billing_margin_seconds=900),
    size(name="big", features=["big-parallel"], max=60, min=5, divisor=2, forced_age_seconds=8 * HOUR, max_age_seconds=5 * HOUR),
    ceiling_usd_per_hour=95, max_machines=200,
)  # fmt: skip


def storm(seed: int, hours: float = 9) -> Report:
    """Two hundred machines, some of a request and some of strangers, under every fault."""
    waves = [Arrival(hour * HOUR, "x86_64-linux", (), 2_000 + 137 * seed % 1_000) for hour in range(0, int(hours), 3)]
    waves += [Arrival(hour * HOUR + 60, "x86_64-linux", ("big-parallel",), 120) for hour in range(0, int(hours), 4)]
    history = History("storm", tuple(sorted(waves, key=lambda wave: wave.time)), hours * HOUR)
    setup = Setup(tick_seconds=150, faults=FAULTS, seed=seed, foreign=12, requested=35, slots=1, step_seconds=700)
    return Simulator(history, LARGE, setup).run()


def check(report: Report, seed: int, tell: Callable[[str], None]) -> None:
    words = f"{report.bought} bought, {report.removed} removed, {report.reclaimed} reclaimed in {report.runs} runs"
    faults = ", ".join(f"{what} {number}" for what, number in sorted(report.faults.items()))
    machines = f"up to {report.most_machines} machines beside 35 of a request and 12 of strangers"
    tell(f"autoscaling in the simulator, seed {seed}: {machines}, {words}; faults: {faults}")
    assert report.violations == []
    assert report.most_machines + 35 + 12 >= 170
    assert report.most_usd_per_hour > 60
    assert report.removed > 20
    missing = {name for name in vars(FAULTS) if not report.faults.get(name)}
    assert missing == set(), "a fault that never happened proves nothing"


def test_two_hundred_machines_under_every_fault(tell: Callable[[str], None]) -> None:
    check(storm(1), 1, tell)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
def test_two_hundred_machines_under_every_fault_seed_by_seed(seed: int, tell: Callable[[str], None]) -> None:
    check(storm(seed), seed, tell)


@pytest.mark.parametrize("blind", ["not_idle", "not_ours_to_touch"])
def test_simulator_sees_a_scaler_that_looks_away(blind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of its two questions the plan would take machines from requests and from builds; the simulator must say so."""
    monkeypatch.setattr(autoscale_removal, blind, lambda machine: "")
    monkeypatch.setattr(Simulator, "_drain", lambda self, name, now: None)
    declared = settings(size(max=9, divisor=1, min=0))
    arrivals = (Arrival(0, "x86_64-linux", (), 8),)
    setup = Setup(step_seconds=20_000, slots=1, requested=2, tick_seconds=300)
    monkeypatch.setattr(Simulator, "_remove", _without_proof)
    report = Simulator(History("short", arrivals, 2 * HOUR), declared, setup).run()
    words = {"not_idle": "was removed busy", "not_ours_to_touch": "which is not the autoscaler's"}[blind]
    assert any(words in violation for violation in report.violations)


def _without_proof(self: Simulator, name: str, now: float) -> None:
    machine = self.machines.pop(name)
    if not machine.own:
        self.report.violations.append(f"{name}, which is not the autoscaler's, was to be removed at {now:.0f} s")
    if machine.ends:
        self.report.violations.append(f"{name} was removed busy at {now:.0f} s")


def test_simulator_sees_a_ceiling_that_is_passed() -> None:
    simulator = Simulator(History("none", (), HOUR), settings(ceiling_usd_per_hour=10), Setup())
    simulator._add({}, usd=9)
    simulator._account(0)
    assert simulator.report.violations == []
    simulator._add({}, usd=2)
    simulator._account(0)
    assert simulator.report.violations == ["11.00 USD per hour at 0 s, beyond the ceiling"]


def test_waiting_and_cost_are_what_they_must_be() -> None:
    """One machine, up after ten minutes, with one place: four steps of the same time wait longer and longer."""
    declared = settings(size(max=1, divisor=100))
    setup = Setup(slots=1, tick_seconds=60, interval_seconds=60)
    simulator = Simulator(History("four", (Arrival(0, "x86_64-linux", (), 4),), HOUR), declared, setup)
    simulator._length = lambda big: 300.0  # type: ignore[method-assign]
    report = simulator.run()
    assert report.waits == [600, 900, 1200, 1500]
    assert (report.bought, report.removed) == (1, 1)
    assert report.usd == pytest.approx(0.5 * 31 * 60 / 3600, abs=0.01)


def test_same_seed_same_run() -> None:
    def run(seed: int) -> Any:
        return Simulator(generated(seed, days=0.2), settings(), Setup(seed=seed, faults=FAULTS)).run().series

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_recorded_history_counts_what_came(tmp_path: Path) -> None:
    def line(when: int, runnable: int, running: int) -> str:
        answer = {"status": "up", "machineTypes": {"x86_64-linux": {"runnable": runnable, "running": running}}}
        return json.dumps({"time": when, "answer": answer})

    path = tmp_path / "history.jsonl"
    path.write_text(
        "\n".join([line(1000, 10, 0), line(1300, 4, 6), line(1600, 9, 6), line(1900, 0, 0)]), encoding="utf-8"
    )
    history = recorded(path)
    assert [(arrival.time, arrival.steps) for arrival in history.arrivals] == [(0, 10), (600, 5)]
    assert history.seconds == 900 + HOUR


def test_command_compares_settings_and_draws(tmp_path: Path) -> None:
    examples = CHECKOUT / "tests" / "simulation" / "examples"
    picture = tmp_path / "chart.svg"
    command = [
        sys.executable,
        str(CHECKOUT / "tests" / "simulation" / "simulate.py"),
        str(examples / "eager.yml"),
        str(examples / "patient.yml"),
    ]
    run = subprocess.run(
        [*command, "--seed", "2", "--days", "0.3", "--json", "--chart", str(picture)],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(run.stdout)
    assert answer["seed"] == 2
    assert answer["settings"]["patient"]["usd"] < answer["settings"]["eager"]["usd"]
    assert picture.read_text(encoding="utf-8").count("<path") == 9


def test_command_refuses_bad_settings(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(
        "fleet_autoscale_ceiling_usd_per_hour: 3\nfleet_autoscale_classes: [{name: x, offers: []}]\n", encoding="utf-8"
    )
    run = subprocess.run(
        [sys.executable, str(CHECKOUT / "tests" / "simulation" / "simulate.py"), str(bad)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "class 'x': systems is missing" in run.stderr
