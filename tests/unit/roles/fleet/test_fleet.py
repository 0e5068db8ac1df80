# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From bids to a machines file on the emulated cloud, with what must not happen when a part of it fails.

The tests are told in order, on one cloud: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_hydra import parse_hydra_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_nix import parse_nix_machines

Result = subprocess.CompletedProcess[str]


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).replace("''", "'").split())


def changed(result: Result, host: str) -> int:
    found = re.search(rf"{host}\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", result.stdout)
    assert found, result.stdout + result.stderr
    return int(found.group(1))


def test_wrong_bids_are_told_and_nothing_is_requested(fleet: Any) -> None:
    good = fleet.settings("")["spot_fleet_bids"][0]
    changes: dict[str, dict[str, Any]] = {
        "plan": {"plan": "c9.huge"},
        "metro": {"metros": ["am", "zz"]},
    }
    bids = [good, *({**good, "name": f"bad-{name}", **change} for name, change in changes.items())]
    result = fleet.play("launch_spot", spot_fleet_bids=bids, spot_fleet_ceiling_usd_per_hour=100)
    assert result.returncode != 0
    assert "bid 'bad-plan': plan 'c9.huge' is not known to equinix_metal" in said(result)
    assert "bid 'bad-metro': metro 'zz' is not known to equinix_metal" in said(result)
    assert "'small'" not in said(result).partition("Nothing was bought")[2]
    assert fleet.requests_made() == 0


def test_wrong_token_is_told_and_nothing_is_requested(fleet: Any) -> None:
    result = fleet.play("launch_spot", metal_auth_token="wrong")
    assert result.returncode != 0
    assert "metal_auth_token" in said(result)
    assert fleet.requests_made() == 0


def test_check_mode_shows_and_buys_nothing(fleet: Any) -> None:
    result = fleet.play("launch_spot", "--check", "--diff")
    assert changed(result, "localhost") == 1
    assert "The fleet would cost at most 1.00 USD per hour (ceiling 2.00)" in said(result)
    assert fleet.requests_made() == 0


def test_machines_file_is_not_emptied_by_a_fleet_without_machines(fleet: Any) -> None:
    fleet.machines.write_text("of yesterday\n", encoding="utf-8")
    result = fleet.play("machines")
    assert result.returncode != 0
    assert "nix_machines_allow_empty" in said(result)
    assert fleet.machines.read_text(encoding="utf-8") == "of yesterday\n"


def test_launch_buys_once(fleet: Any) -> None:
    assert changed(fleet.play("launch_spot", spot_fleet_wait=True), "localhost") == 1
    again = fleet.play("launch_spot", "--diff")
    assert changed(again, "localhost") == 0
    assert "small: keep request" in again.stdout
    assert fleet.requests_made() == 1


def test_machines_file_holds_both_machines_of_one_hostname(fleet: Any) -> None:
    first = fleet.play("machines", "--diff")
    assert changed(first, "coordinator") == 2
    text = fleet.machines.read_text(encoding="utf-8")
    assert len(parse_nix_machines(text)) == len(parse_hydra_machines(text)) == 2
    assert all(machine.host_key.startswith("ssh-ed25519 ") for machine in parse_nix_machines(text))
    assert changed(fleet.play("machines"), "coordinator") == 0


@pytest.mark.parametrize("playbook", ["machines", "verify_builders"])
def test_limit_that_leaves_out_the_coordinators_fails(fleet: Any, playbook: str) -> None:
    result = fleet.play(playbook, "--limit", "builders")
    assert result.returncode != 0
    assert "--limit builders leaves out the whole group nix_coordinators" in said(result)
    assert "unreachable=1" not in result.stdout


def test_check_mode_claims_nothing_about_machines_it_did_not_ask(fleet: Any) -> None:
    # A text as -e gives it; the machines of this cloud answer nobody.
    result = fleet.play(
        "verify_builders", "--check", builder_verify_ssh_key="/key", builders_reading_max_age_seconds="60"
    )
    assert changed(result, "coordinator") == 0
    assert "not asked: check mode (" in result.stdout
    assert "boot_id" not in result.stdout


def with_fault(fleet: Any, path: str, *arguments: str, **variables: Any) -> Result:
    fleet.lab.post("/faults", json={"kind": "status", "status": 500, "path": path, "count": None}).raise_for_status()
    try:
        done: Result = fleet.play("machines", *arguments, **variables)
    finally:
        fleet.lab.delete("/faults").raise_for_status()
    return done


def test_failing_api_leaves_the_machines_file(fleet: Any) -> None:
    before = fleet.machines.read_text(encoding="utf-8")
    result = with_fault(fleet, "*")
    assert result.returncode != 0
    assert "builders_reading is not set: the inventory plugin failed or was not asked" in said(result)
    assert "coordinator" not in result.stdout.partition("PLAY RECAP")[2]
    assert fleet.machines.read_text(encoding="utf-8") == before


def test_a_play_that_read_the_machines_before_another_wrote_them_puts_nothing_back(fleet: Any) -> None:
    """As machines.yml does that reads, or has a cached reading, while a drain tags a machine and writes."""
    memory = fleet.root / "memory" / "machines.json"
    known = json.loads(memory.read_text(encoding="utf-8"))
    drained = fleet.machines.read_text(encoding="utf-8").splitlines(keepends=True)[0]
    whole = fleet.machines.read_text(encoding="utf-8")
    then = time.time() + 200
    newer = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(then))
    memory.write_text(json.dumps({**known, "read_at": newer}), encoding="utf-8")
    fleet.machines.write_text(drained, encoding="utf-8")
    try:
        held = fleet.play("machines")
        assert changed(held, "coordinator") == 0
        assert f"is left as it is: it was written from a reading of {newer}" in said(held)
        assert fleet.machines.read_text(encoding="utf-8") == drained
        memory.unlink()
        assert changed(fleet.play("machines", nix_machines_keep_seconds=0), "coordinator") == 1
        assert json.loads(memory.read_text(encoding="utf-8"))["read_at"] < newer
    finally:
        memory.write_text(json.dumps(known), encoding="utf-8")
    assert fleet.machines.read_text(encoding="utf-8") == whole


def test_machines_whose_events_cannot_be_read_keep_their_rows_for_a_while(fleet: Any) -> None:
    before = fleet.machines.read_text(encoding="utf-8")
    coordinator = fleet.hosts()["all"]["children"]["nix_coordinators"]["hosts"]["coordinator"]
    metrics = fleet.root / "fleet.prom"
    who = {f"fleet_metrics_{name}": coordinator[f"nix_machines_{name}"] for name in ("owner", "group")}
    result = with_fault(fleet, "*/events", fleet_metrics_metrics_file=str(metrics), **who)
    assert changed(result, "coordinator") == 0
    assert "nixmetal_fleet_machines{" in metrics.read_text(encoding="utf-8")
    assert "machine_coming_up" not in metrics.read_text(encoding="utf-8")
    assert "the row stays as it was last, up to 3600 seconds" in said(result)
    forgotten = with_fault(fleet, "*/events", nix_machines_keep_seconds=0)
    assert forgotten.returncode != 0
    assert "nix_machines_allow_empty" in said(forgotten)
    assert fleet.machines.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("filters", [{"only_metros": ["da"]}, {"hide_draining": True}])
def test_inventory_that_leaves_machines_out_leaves_the_machines_file(fleet: Any, filters: dict[str, Any]) -> None:
    before = fleet.machines.read_text(encoding="utf-8")
    url = str(fleet.api.base_url).partition("/metal")[0]
    fleet.write("metal_builders.yml", fleet.plugin(url, **filters))
    try:
        result = fleet.play("machines")
    finally:
        fleet.write("metal_builders.yml", fleet.plugin(url))
    assert result.returncode != 0
    assert f"the reading leaves machines out (by {next(iter(filters))})" in said(result)
    assert fleet.machines.read_text(encoding="utf-8") == before


def test_inventory_that_asks_nobody_leaves_the_machines_file(fleet: Any) -> None:
    before = fleet.machines.read_text(encoding="utf-8")
    for limit in ([], ["--limit", "coordinator"]):
        result = fleet.play("machines", "-i", str(fleet.inventory / "hosts.yml"), *limit, builders_reading={})
        assert result.returncode != 0
        assert "builders_reading is not set" in said(result)
    assert fleet.machines.read_text(encoding="utf-8") == before


def test_draining_machine_leaves_the_file_and_the_last_one_may(fleet: Any) -> None:
    devices = fleet.api.get("/projects/7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b/devices").json()["devices"]
    for left, device in zip((1, 0), devices, strict=True):
        tags = [*device["tags"], "skip-hydra"]
        fleet.api.put(f"/devices/{device['id']}", json={"tags": tags}).raise_for_status()
        result = fleet.play("machines")
        assert f"{device['id']}: draining" in result.stdout
        assert len(parse_nix_machines(fleet.machines.read_text(encoding="utf-8"))) == left


def test_renaming_a_bid_does_not_pass_the_ceiling(fleet: Any) -> None:
    """The market is above the bid, so no machine's tags tell whose the old request is."""
    cheap = {**fleet.settings("")["spot_fleet_bids"][0], "name": "cheap", "max_bid_usd_per_hour": 0.01}
    settings = {"spot_fleet_name": "renamed", "spot_fleet_ceiling_usd_per_hour": 0.03}
    assert changed(fleet.play("launch_spot", **settings, spot_fleet_bids=[cheap]), "localhost") == 1
    made = fleet.requests_made()
    result = fleet.play("launch_spot", **settings, spot_fleet_bids=[{**cheap, "name": "cheaper"}])
    assert result.returncode != 0
    assert "live requests that are no longer declared (" in said(result)
    assert fleet.requests_made() == made
