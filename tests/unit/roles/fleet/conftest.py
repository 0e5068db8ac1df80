# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An emulated cloud in a process of its own, an inventory that asks it, and the fleet's playbooks run on both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path += [str(CHECKOUT / "tests" / "unit" / "roles"), str(CHECKOUT / "tests" / "unit" / "lab")]

import local_coordinator  # noqa: E402  (found by the line above)
import servers  # noqa: E402
import shown  # noqa: E402

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "lab-token"
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


class Fleet:
    """The cloud, the inventory and the files of one test."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.lab = httpx.Client(base_url=f"{url}/lab")
        self.api = httpx.Client(base_url=f"{url}/metal/v1", headers={"X-Auth-Token": TOKEN})
        self.machines = root / "machines"
        self.inventory = root / "inventory"
        (self.inventory / "group_vars").mkdir(parents=True)
        (root / "key").write_text("not a key that opens anything", encoding="utf-8")
        self.write("metal_builders.yml", self.plugin(url))
        self.write("hosts.yml", self.hosts())
        self.write("group_vars/all.yml", self.settings(url))

    def write(self, name: str, value: Any) -> None:
        (self.inventory / name).write_text(yaml.safe_dump(value), encoding="utf-8")

    def plugin(self, url: str, **changes: Any) -> dict[str, Any]:
        options = {"metal_api_url": f"{url}/metal/v1", "metal_auth_token": TOKEN, "project_id": PROJECT}
        return {"plugin": "nixmetal.builders.metal_builders", "metal_api_tries": 1, **options, **changes}

    def hosts(self) -> dict[str, Any]:
        return local_coordinator.hosts(self.root)

    def settings(self, url: str) -> dict[str, Any]:
        return {
            "metal_api_url": f"{url}/metal/v1",
            "metal_auth_token": TOKEN,
            "metal_project_id": PROJECT,
            "netboot_channels": [{"name": "stable", "base_url": "http://192.0.2.1"}],
            "spot_fleet_name": "ci",
            "fleet_lock_path": str(self.root / "locks"),
            # There is no web host here; tests/unit/roles/spot_fleet has one.
            "spot_fleet_check_channels": False,
            "spot_fleet_ceiling_usd_per_hour": 2,
            "spot_fleet_bids": [BID],
        }

    def play(self, name: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook as an operator does who has no ansible.cfg that stops at a failing inventory."""
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.inventory)]
        playbook = str(CHECKOUT / "playbooks" / f"{name}.yml")
        done = subprocess.run(
            [*command, playbook, "-e", json.dumps(variables), *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "false"},
            timeout=300,
            check=False,
        )
        assert shown.too_wide(done.stdout) == []
        return done

    def requests_made(self) -> int:
        calls = self.lab.get("/calls").json()["calls"]
        return sum(call["method"] == "POST" and call["path"].endswith("/spot-market-requests") for call in calls)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("fleet")
    with servers.running(root, backend="simulated") as emulator:
        yield Fleet(root, emulator.url)
