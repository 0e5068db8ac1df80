# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""status.yml, prices.yml and what machines.yml tells Prometheus, on the emulated cloud."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

pytestmark = pytest.mark.long


def files(fleet: Any) -> dict[str, Any]:
    return {
        "fleet_metrics_targets_file": str(fleet.root / "targets.json"),
        "fleet_metrics_metrics_file": str(fleet.root / "fleet.prom"),
        "fleet_metrics_owner": fleet.hosts()["all"]["children"]["nix_coordinators"]["hosts"]["coordinator"][
            "nix_machines_owner"
        ],
        "fleet_metrics_group": fleet.hosts()["all"]["children"]["nix_coordinators"]["hosts"]["coordinator"][
            "nix_machines_group"
        ],
    }


def test_status_tells_machines_requests_and_cost(fleet: Any) -> None:
    assert fleet.play("launch_spot", spot_fleet_wait=True).returncode == 0
    path = fleet.root / "status.json"
    result = fleet.play(
        "status", fleet_status_file=str(path), builder_drain_source="hydra", builder_drain_url="http://127.0.0.1:1/"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [(row["plan"], row["location"], row["jobs"], row["bought_by"]) for row in found["machines"]] == [
        ("c3.small.x86", "am", None, "bid small")
    ] * 2
    assert found["usd_per_hour_at_most"] == 1.0
    assert found["ceiling_usd_per_hour"] == 2.0
    assert 0 < found["usd_per_hour"] < 1
    assert [(request["name"], request["count"], request["machines"]) for request in found["requests"]] == [
        ("small", 2, 2)
    ]
    assert f"2 machines of {found['fleet']}:" in result.stdout
    assert all(row["id"] in result.stdout for row in found["machines"])


def test_prices(fleet: Any) -> None:
    result = fleet.play("prices")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"c3\.small\.x86 +am +0\.\d\d +\d+\.\d\d", result.stdout), result.stdout


def test_machines_tells_prometheus(fleet: Any) -> None:
    result = fleet.play("machines", **files(fleet))
    assert result.returncode == 0, result.stdout + result.stderr
    targets = json.loads((fleet.root / "targets.json").read_text(encoding="utf-8"))
    assert [entry["labels"]["state"] for entry in targets] == ["active", "active"]
    metrics = (fleet.root / "fleet.prom").read_text(encoding="utf-8")
    assert 'nixmetal_fleet_cost_at_most_usd_per_hour{fleet="ci"} 1\n' in metrics
    assert 'nixmetal_fleet_max_bid_usd_per_hour{fleet="ci",bid="small",plan="c3.small.x86"} 0.5\n' in metrics


@pytest.mark.parametrize("path", ["*", "*/spot-market-requests"])
def test_failing_api_leaves_yesterdays_files(fleet: Any, path: str) -> None:
    before = [(fleet.root / name).read_bytes() for name in ("fleet.prom", "targets.json")]
    fleet.lab.post("/faults", json={"kind": "status", "status": 500, "path": path, "count": None}).raise_for_status()
    try:
        result = fleet.play("machines", **files(fleet))
    finally:
        fleet.lab.delete("/faults").raise_for_status()
    assert result.returncode != 0
    assert [(fleet.root / name).read_bytes() for name in ("fleet.prom", "targets.json")] == before
