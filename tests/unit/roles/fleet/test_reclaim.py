# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to machines that the market takes back, on one emulated cloud, told in order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_nix import parse_nix_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
BID: dict[str, Any] = {
    "name": "small",
    "provider": "equinix_metal",
    "plan": "c3.small.x86",
    "metros": ["am", "da"],
    "count": 2,
    "max_bid_usd_per_hour": 0.5,
    "channel": "stable",
    "hostname": "shared-name",
}
OWN = {**BID, "name": "own", "kind": "on_demand", "metros": ["da"], "count": 2, "max_bid_usd_per_hour": 5}


def device(fleet: Any, *tags: str, **more: Any) -> str:
    order = {
        "plan": "c3.small.x86",
        "metro": "da",
        "operating_system": "custom_ipxe",
        "ipxe_script_url": "http://192.0.2.1/x",
    }
    made = fleet.api.post(f"/projects/{PROJECT}/devices", json={**order, "tags": list(tags), **more})
    made.raise_for_status()
    return str(made.json()["id"])


def address_of(fleet: Any, name: str) -> str:
    found = fleet.api.get(f"/devices/{name}").json()["ip_addresses"]
    return next(str(item["address"]) for item in found if item["public"] and item["address_family"] == 4)


def devices_bought(fleet: Any) -> int:
    calls = fleet.lab.get("/calls").json()["calls"]
    return sum(call["method"] == "POST" and call["path"].endswith(f"/projects/{PROJECT}/devices") for call in calls)


def reclaim(fleet: Any, status: int = 0, **more: Any) -> Any:
    told = fleet.root / "told"
    told.unlink(missing_ok=True)
    settings = {
        "spot_fleet_bids": [BID, OWN],
        "spot_fleet_ceiling_usd_per_hour": 20,
        "builder_reclaim_file": str(fleet.root / "reclaims" / "ci.jsonl"),
        "fleet_notify_command": ["sh", "-c", f"cat > {told}"],
    }
    result = fleet.play("reclaim", **settings, **more)
    assert result.returncode == status, result.stdout + result.stderr
    return result


def summary(played: Any) -> str:
    flat = " ".join(played.stdout.replace("\\n", " ").split())
    return str(flat.partition("TASK [nixmetal.builders.builder_reclaim : Say what was done]")[2])


def test_machines_that_go_leave_the_file_at_once_and_only_single_ones_are_bought_anew(fleet: Any) -> None:
    fleet.play("launch_spot", spot_fleet_wait=True)
    soon, later = (stamp(time.time() + seconds) for seconds in (1800, 3 * 86400))
    single = device(fleet, "nixmetal-fleet=ci", "nixmetal-bid=own", "nixmetal-order=1", termination_time=soon)
    for_days = device(fleet, "nixmetal-fleet=ci", "nixmetal-bid=own", "nixmetal-order=2", termination_time=later)
    stranger = device(fleet, termination_time=soon)
    bought = devices_bought(fleet)
    assert fleet.play("machines").returncode == 0
    before = parse_nix_machines(fleet.machines.read_text(encoding="utf-8"))
    assert len(before) >= 2
    # Each of the market's machines and the one with days to go; the other one's end is near whatever market it is of.
    addresses = {name: address_of(fleet, name) for name in (single, for_days)}
    assert addresses[for_days] in fleet.machines.read_text(encoding="utf-8")
    assert addresses[single] not in fleet.machines.read_text(encoding="utf-8")

    quiet = reclaim(fleet)
    # The market is calm: only the single machine with an end goes, and is bought anew.
    flat = " ".join(quiet.stdout.split())
    assert f"{single} will be reclaimed at" in flat
    assert f"{stranger} will be reclaimed" not in flat
    assert f"{for_days} will be reclaimed at {later}" in flat
    assert addresses[for_days] in fleet.machines.read_text(encoding="utf-8")
    assert for_days not in (fleet.root / "reclaims" / "ci.jsonl").read_text(encoding="utf-8")
    assert f"foreign machines, never touched: {stranger}" in flat
    assert devices_bought(fleet) == bought + 1
    told = summary(quiet)
    assert "1 machine of the fleet ci goes soon" in told
    assert "Machines file of coordinator: as before, without them" in told
    assert "Remembered: 1 machine of which nothing was known" in told
    assert "Bought anew: 1 machine (own), at most 5.00 USD per hour" in told
    assert fleet.requests_made() == 1

    fleet.lab.post("/prices", json={"plan": "c3.small.x86", "metro": "am", "price": 9}).raise_for_status()
    time.sleep(0.5)
    reclaim(fleet)
    message = json.loads((fleet.root / "told").read_text(encoding="utf-8"))
    assert message["event"] == "reclaim"
    assert message["text"].startswith("2 machines of the fleet ci will be reclaimed")
    assert fleet.requests_made() == 1
    kept = [
        json.loads(line) for line in (fleet.root / "reclaims" / "ci.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(entry["metro"] for entry in kept) == ["am", "am", "da"]
    left = parse_nix_machines(fleet.machines.read_text(encoding="utf-8"))
    assert not {machine.store_uri for machine in left} & {machine.store_uri for machine in before[:2]}


@pytest.mark.long
def test_a_second_run_tells_nobody_and_buys_nothing(fleet: Any) -> None:
    bought = devices_bought(fleet)
    again = reclaim(fleet)
    assert not (fleet.root / "told").exists()
    assert devices_bought(fleet) == bought
    assert "changed=0" in again.stdout.partition("localhost")[2]


def test_a_place_where_it_happens_again_and_again_is_paused(fleet: Any) -> None:
    settings = {
        "spot_fleet_reclaims_file": str(fleet.root / "reclaims" / "ci.jsonl"),
        "spot_fleet_pause_reclaims": 2,
        "spot_fleet_ceiling_usd_per_hour": 20,
    }
    shown = fleet.play("launch_spot", "--check", spot_fleet_bids=[BID, {**BID, "name": "new"}], **settings)
    flat = " ".join(shown.stdout.split())
    assert "new: create a request for 2 c3.small.x86 in da; c3.small.x86 in am is paused until" in flat
    assert "small: keep request" in flat


@pytest.mark.long
def test_a_machines_file_that_was_not_written_is_told_and_keeps_nothing_from_being_bought(fleet: Any) -> None:
    failed = reclaim(fleet, status=2, nix_machines_ssh_key=str(fleet.root / "missing"))
    assert "Machines file of coordinator: NOT written, see above" in summary(failed)
    assert "Machines that will be reclaimed are still in the machines file of coordinator. Run" in summary(failed)
    message = json.loads((fleet.root / "told").read_text(encoding="utf-8"))
    assert message["event"] == "failure"
    assert message["text"].startswith("Machines that will be reclaimed are still in the machines file of coordinator. ")
    assert "has no private key" in message["text"]

    memory = fleet.root / "memory" / "machines.json"
    known = json.loads(memory.read_text(encoding="utf-8"))
    memory.write_text(json.dumps({**known, "read_at": stamp(time.time() + 200)}), encoding="utf-8")
    before = fleet.machines.read_text(encoding="utf-8")
    told = summary(reclaim(fleet))
    assert "Machines file of coordinator: left as it is, for it was written from a newer reading" in told
    assert fleet.machines.read_text(encoding="utf-8") == before
