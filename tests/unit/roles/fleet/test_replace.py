# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bid that changed, on the emulated cloud with the real roles: nothing ends that is not proved idle, unless the policy says so."""

from __future__ import annotations

from typing import Any

import pytest


def live(fleet: Any) -> dict[str, list[str]]:
    """The devices of each live request."""
    answer = fleet.api.get("/projects/7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b/spot-market-requests").json()
    return {
        request["id"]: sorted(device.get("id") or device["href"].rpartition("/")[2] for device in request["devices"])
        for request in answer["spot_market_requests"]
    }


@pytest.mark.long
def test_a_bid_that_changed_ends_its_machines_only_when_they_are_drained(fleet: Any) -> None:
    assert fleet.play("launch_spot", spot_fleet_wait=True).returncode == 0
    ((old, machines),) = live(fleet).items()
    assert len(machines) == 2
    settings = {
        "spot_fleet_bids": [{**fleet.settings("")["spot_fleet_bids"][0], "max_bid_usd_per_hour": 0.6}],
        "spot_fleet_change": "replace",
        "builder_drain_asked_from": "localhost",
        "builder_drain_timeout_seconds": 1,
        "builder_drain_pause_seconds": 1,
        "builder_drain_read_pause_seconds": 1,
    }
    refused = fleet.play("launch_spot", **settings)
    assert refused.returncode != 0
    assert live(fleet) == {old: machines}
    assert all("skip-hydra" in fleet.api.get(f"/devices/{device}").json()["tags"] for device in machines)
    done = fleet.play("launch_spot", **settings, builder_drain_policy="proceed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert old not in live(fleet)
    assert len(live(fleet)) == 1
    assert [fleet.api.get(f"/devices/{device}").status_code for device in machines] == [404, 404]
    assert fleet.requests_made() == 2
    assert not (fleet.root / "locks" / "ci.lock").exists()
