# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drains and restores on the emulated cloud: whose they are, what the coordinator is told, and what counts as idle."""

from __future__ import annotations

import copy
import subprocess
from typing import Any

import pytest
import yaml
from conftest import CHECKOUT

Result = subprocess.CompletedProcess[str]


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


@pytest.fixture(scope="module")
def fleet(make_fleet: Any) -> Any:
    fleet = make_fleet()
    fleet.launch(2)
    assert fleet.play("machines").returncode == 0
    return fleet


@pytest.fixture
def machine(fleet: Any) -> str:
    """A machine that nobody drains."""
    fleet.world.broken = ""
    fleet.world.jobs.clear()
    name = fleet.ids()[0]
    fleet.play("restore", "--limit", name, builder_drain_force=True)
    assert "skip-hydra" not in fleet.tags(name)
    return str(name)


def address(fleet: Any, name: str) -> str:
    return str(fleet.world.address(fleet.world.get(f"/metal/v1/devices/{name}")))


def test_a_drain_takes_the_machine_out_and_a_restore_puts_it_back(fleet: Any, machine: str) -> None:
    assert f"build@{address(fleet, machine)} " in fleet.machines.read_text()
    drained = fleet.play("drain", "--limit", machine)
    assert drained.returncode == 0, said(drained)
    assert {"skip-hydra", "drained-by=alice"} <= set(fleet.tags(machine))
    assert address(fleet, machine) not in fleet.machines.read_text()
    assert len(fleet.machines.read_text().splitlines()) == 1
    again = fleet.play("drain", "--limit", machine)
    assert "changed=0" in said(again)
    restored = fleet.play("restore", "--limit", machine)
    assert restored.returncode == 0, said(restored)
    assert not {"skip-hydra", "drained-by=alice"} & set(fleet.tags(machine))
    assert f"build@{address(fleet, machine)} " in fleet.machines.read_text()


@pytest.mark.long
def test_each_coordinator_has_its_own_settings_and_none_of_the_one_before(fleet: Any, machine: str) -> None:
    """The first one's were kept as facts, so the second one's file stayed as it was, with the drained machine in it."""
    hosts = yaml.safe_load((fleet.inventory / "hosts.yml").read_text())
    both = copy.deepcopy(hosts)
    coordinators = both["all"]["children"]["nix_coordinators"]["hosts"]
    second = fleet.root / "machines-of-the-second"
    coordinators["second"] = {**coordinators["coordinator"], "nix_machines_file": str(second)}
    coordinators["coordinator"]["nix_machines_mode"] = "0600"
    fleet.write("hosts.yml", both)
    try:
        assert fleet.play("drain", "--limit", machine).returncode == 0
    finally:
        fleet.write("hosts.yml", hosts)
    for file, mode in ((fleet.machines, 0o600), (second, 0o644)):
        assert len(file.read_text().splitlines()) == 1
        assert address(fleet, machine) not in file.read_text()
        assert file.stat().st_mode & 0o777 == mode


def test_a_coordinator_is_given_every_setting_of_the_machines_file() -> None:
    roles = CHECKOUT / "roles"
    defaults = yaml.safe_load((roles / "nix_machines" / "defaults" / "main.yml").read_text())
    given = yaml.safe_load((roles / "builder_drain" / "tasks" / "coordinator.yml").read_text())[-1]["vars"]
    assert {name for name in given if name.startswith("nix_machines_")} == set(defaults)
    assert all(
        text.count(f"{name} ") == 1 and text.count(f".{name})") == 1 for name, text in given.items() if name in defaults
    )


@pytest.mark.long
def test_nobody_lifts_another_owners_drain(fleet: Any, machine: str) -> None:
    assert fleet.play("drain", "--limit", machine).returncode == 0
    for playbook in ("restore", "drain"):
        refused = fleet.play(playbook, "--limit", machine, builder_drain_owner="bob")
        assert refused.returncode != 0
        assert "is drained by alice, not by bob" in said(refused)
    assert "drained-by=alice" in fleet.tags(machine)
    assert (
        fleet.play("restore", "--limit", machine, builder_drain_owner="bob", builder_drain_force=True).returncode == 0
    )
    assert "skip-hydra" not in fleet.tags(machine)


FAULTS = ["null", *(pytest.param(fault, marks=pytest.mark.long) for fault in ("down", "empty", "renamed", "busy"))]


@pytest.mark.parametrize("broken", FAULTS)
def test_what_is_not_proved_idle_is_not_drained(fleet: Any, machine: str, broken: str) -> None:
    """The original's drain ended at once, and called the machine drained, when Prometheus had no answer."""
    fleet.world.broken = broken
    fleet.world.jobs[address(fleet, machine)] = 1 if broken == "busy" else 0
    late = fleet.play("drain", "--limit", machine, builder_drain_timeout_seconds=1)
    assert late.returncode != 0
    assert f"not proved idle: {machine} ({'1 job' if broken == 'busy' else 'unknown'}" in said(late)
    # It stays out of service: no new build comes while somebody looks at it.
    assert "skip-hydra" in fleet.tags(machine)
    assert address(fleet, machine) not in fleet.machines.read_text()


def test_a_coordinator_that_cannot_build_drains_nobody(fleet: Any, machine: str) -> None:
    """Its fault was taken for that of all machines, and an empty machines file was written."""
    before = fleet.machines.read_text()
    failed = fleet.play("verify_builders", builder_verify_busybox={"x86_64-linux": "/nowhere/busybox"})
    assert failed.returncode != 0
    assert "Taken out of service: none" in said(failed)
    assert fleet.machines.read_text() == before
    assert "skip-hydra" not in fleet.tags(machine)


def test_a_machine_that_publishes_nothing_of_its_boot_is_asked_before_its_test_build(fleet: Any, machine: str) -> None:
    """As one's own are. Their builds were all of one name, so Nix answered from the store, and nothing was ever equal."""
    fleet.world.asked.clear()
    fleet.world.unreachable = {address(fleet, machine)}
    nowhere = {"x86_64-linux": "/nowhere/busybox"}
    try:
        failed = fleet.play(
            "verify_builders", builder_verify_busybox=nowhere, builder_boot_id=None, builder_image_id=None
        )
    finally:
        fleet.world.unreachable = set()
    assert failed.returncode != 0
    assert sorted(fleet.world.asked) == sorted(f"/ssh/{address(fleet, name)}" for name in fleet.ids())
    assert said(failed).count("its boot is not known: ssh ended with") >= 1


@pytest.mark.long
def test_the_policy_may_go_on(fleet: Any, machine: str) -> None:
    fleet.world.broken = "empty"
    went_on = fleet.play("drain", "--limit", machine, builder_drain_timeout_seconds=1, builder_drain_policy="proceed")
    assert went_on.returncode == 0, said(went_on)
    assert f"Not proved idle: {machine}" in said(went_on)


@pytest.mark.long
def test_the_machines_themselves_can_be_asked(fleet: Any, machine: str) -> None:
    drained = fleet.play("drain", "--limit", machine, builder_drain_source="ssh")
    assert drained.returncode == 0, said(drained)
    fleet.world.jobs[address(fleet, machine)] = 2
    late = fleet.play("drain", "--limit", machine, builder_drain_source="ssh", builder_drain_timeout_seconds=1)
    assert f"{machine} (2 jobs)" in said(late)


@pytest.mark.long
def test_without_a_name_nothing_is_drained(fleet: Any, machine: str) -> None:
    assert "Name the machines with --limit" in said(fleet.play("drain"))
    assert "skip-hydra" not in fleet.tags(machine)


@pytest.mark.long
def test_an_api_that_fails_changes_nothing(fleet: Any, machine: str) -> None:
    before = fleet.machines.read_text()
    fleet.lab("POST", "/faults", {"kind": "status", "status": 500, "path": "*", "count": None})
    try:
        failed = fleet.play("drain", "--limit", "all", builder_drain_all=True)
    finally:
        fleet.lab("DELETE", "/faults")
    assert failed.returncode != 0
    assert fleet.machines.read_text() == before
    assert "skip-hydra" not in fleet.tags(machine)


@pytest.mark.long
def test_check_mode_changes_nothing(fleet: Any, machine: str) -> None:
    before = fleet.machines.read_text()
    shown = fleet.play("drain", "--limit", machine, "--check")
    assert shown.returncode == 0, said(shown)
    assert "skip-hydra" not in fleet.tags(machine)
    assert fleet.machines.read_text() == before
