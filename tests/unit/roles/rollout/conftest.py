# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An emulated cloud with machines of a fleet, and the world that says what runs on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(Path(__file__).parent))
sys.path += [str(CHECKOUT / "tests" / "unit" / "roles"), str(CHECKOUT / "tests" / "unit" / "lab")]

import local_coordinator  # noqa: E402  (found by the line above)
import servers  # noqa: E402
import shown  # noqa: E402
from world import World  # noqa: E402

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "lab-token"
OLD, NEW = (f"{letter * 32}-lab-image" for letter in "ab")


class Fleet:
    """The emulator, which can be started again with another image, an inventory, and the playbooks run on both."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.settings: dict[str, Any] = {
            "listen_port": 0,
            "state_directory": str(root / "state"),
            "token": TOKEN,
            "backend": "simulated",
            "timing": {"tick": 0.05, "queued": 0, "boot": 0.3, "spot_fill": 0, "deprovisioning": 0.1},
            "simulated": {"image_id": OLD, "max_jobs": 4, "systems": ["x86_64-linux"]},
            **settings,
        }
        self.machines = root / "machines"
        self.inventory = root / "inventory"
        (self.inventory / "group_vars").mkdir(parents=True)
        (root / "key").write_text("not a key that opens anything", encoding="utf-8")
        self.process: subprocess.Popen[str] | None = None
        self.start()
        self.world = World(self.url)
        self.world.start()
        self.write_inventory()

    # -- the cloud -------------------------------------------------------------------------------

    def start(self, **changes: Any) -> None:
        self.settings |= changes
        (self.root / "config.json").write_text(json.dumps(self.settings), encoding="utf-8")
        self.process = servers.launch(self.root / "config.json")
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("metal_lab: ready on http://"), line
        self.url = line.split()[-1]
        self.settings["listen_port"] = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None:
            servers.end(self.process)

    def publish(self, image: str) -> None:
        """From now on machines boot this image: the emulator is started anew with it, on its port and with its state."""
        self.stop()
        self.start(simulated={**self.settings["simulated"], "image_id": image})

    def lab(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        import urllib.request

        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/lab{path}", method=method, data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    # -- the inventory ---------------------------------------------------------------------------

    def write(self, name: str, value: Any) -> None:
        (self.inventory / name).write_text(yaml.safe_dump(value), encoding="utf-8")

    def write_inventory(self) -> None:
        plugin = {"plugin": "nixmetal.builders.metal_builders", "metal_api_url": f"{self.url}/metal/v1"}
        self.write(
            "metal_builders.yml", {**plugin, "metal_auth_token": TOKEN, "project_id": PROJECT, "metal_api_tries": 1}
        )
        self.write("hosts.yml", local_coordinator.hosts(self.root))
        self.write("group_vars/all.yml", self.variables())

    def variables(self) -> dict[str, Any]:
        return {
            "metal_api_url": f"{self.url}/metal/v1",
            "metal_auth_token": TOKEN,
            "metal_project_id": PROJECT,
            "netboot_channels": [{"name": "stable", "base_url": "http://192.0.2.1"}],
            "spot_fleet_name": "ci",
            "spot_fleet_check_channels": False,
            "spot_fleet_ceiling_usd_per_hour": 1000,
            "fleet_lock_path": str(self.root / "locks"),
            "builder_drain_source": "prometheus",
            "builder_drain_url": self.world.url,
            "builder_drain_quiet_seconds": 0.3,
            "builder_drain_pause_seconds": 0.1,
            "builder_drain_owner": "alice",
            "builder_drain_ssh_executable": str(self.world.ssh_client(self.root / "ssh")),
            "builder_drain_ssh_key": "",
            "builder_drain_read_pause_seconds": 1,
        }

    def launch(self, count: int) -> None:
        bid = {
            "name": "small",
            "provider": "equinix_metal",
            "plan": "c3.small.x86",
            "metros": ["am"],
            "count": count,
            "max_bid_usd_per_hour": 0.5,
            "channel": "stable",
        }
        done = self.play("launch_spot", spot_fleet_bids=[bid], spot_fleet_wait=True, spot_fleet_wait_timeout=300)
        assert done.returncode == 0, done.stdout[-3000:]

    def ids(self) -> list[str]:
        return sorted(device["id"] for device in self.world.devices())

    def tags(self, device: str) -> list[str]:
        return list(self.world.get(f"/metal/v1/devices/{device}")["tags"])

    def put_tags(self, device: str, tags: list[str]) -> None:
        self.world.put(f"/metal/v1/devices/{device}", {"tags": tags})

    def address(self, device: str) -> str:
        return self.world.address(self.world.get(f"/metal/v1/devices/{device}"))

    def said(self, device: str) -> dict[str, Any]:
        """What the machine has told of itself since it booted."""
        return self.world.evidence(device).description

    def reboots(self) -> int:
        """How many times a reboot was asked for: the emulator keeps its last calls only, so they are counted as they are seen."""
        calls = self.lab("GET", "/calls")["calls"]
        return sum(call["method"] == "POST" and call["path"].endswith("/actions") for call in calls)

    def play(
        self, name: str, *arguments: str, limit_seconds: float = 900, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(name, *arguments, **variables),
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=limit_seconds,
            check=False,
        )
        assert shown.too_wide(done.stdout) == []
        return done

    def command(self, name: str, *arguments: str, **variables: Any) -> list[str]:
        playbook = str(CHECKOUT / "playbooks" / f"{name}.yml")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.inventory), playbook]
        return [*command, "-e", json.dumps(variables), *arguments]

    @staticmethod
    def environment() -> dict[str, str]:
        return os.environ | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "false", "ANSIBLE_NOCOLOR": "1"}


@pytest.fixture(scope="module")
def make_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made: list[Fleet] = []

    def make(**settings: Any) -> Fleet:
        made.append(Fleet(tmp_path_factory.mktemp("rollout"), **settings))
        return made[-1]

    yield make
    for fleet in made:
        fleet.stop()
        fleet.world.stop()
