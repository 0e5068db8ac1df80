# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rollout.yml on machines of one's own (provider ssh_host), from one image to the next. Told in order, on one rack."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import local_coordinator
import pytest
import yaml
from conftest import NEW, OLD
from conftest import Fleet as Emulated
from rack import Machine, Rack

pytestmark = pytest.mark.long

NEWER = OLD.replace("a", "c")


def host_key(number: int) -> str:
    """A key that is one by its form: RFC 4253, 6.6."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


class Own:
    """The rack, the inventory that declares it, and the playbooks run on both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inventory = root / "inventory"
        self.machines_file = root / "machines"
        self.tags_file = root / "tags.json"
        names = ("rack1-a", "rack1-b", "rack1-c")
        self.rack = Rack(
            {name: Machine(f"192.0.2.{51 + n}", host_key(n), OLD) for n, name in enumerate(names)}, image=NEW
        )
        (self.inventory / "group_vars").mkdir(parents=True)
        (root / "key").write_text("not a key that opens anything", encoding="utf-8")
        self.tags_file.write_text('{"schema": 1, "machines": {}}', encoding="utf-8")
        self.write("hosts.yml", local_coordinator.hosts(root))
        self.write("own.ssh_builders.yml", self.plugin())
        self.write("group_vars/all.yml", self.settings())

    def write(self, name: str, value: Any) -> None:
        (self.inventory / name).write_text(yaml.safe_dump(value), encoding="utf-8")

    def plugin(self) -> dict[str, Any]:
        said = {"systems": ["x86_64-linux"], "max_jobs": 4, "boot_url": "http://192.0.2.1/stable/netboot.ipxe"}
        return {
            "plugin": "nixmetal.builders.ssh_builders",
            "fleet": "ci",
            "tags_command": ["cat", str(self.tags_file)],
            "defaults": said,
            "machines": {
                name: {"address": machine.address, "host_key": machine.host_key}
                for name, machine in self.rack.machines.items()
            },
            "compose": {"ansible_connection": "'local'"},
        }

    def settings(self) -> dict[str, Any]:
        return {
            "netboot_channels": [{"name": "stable", "base_url": "http://192.0.2.1"}],
            "spot_fleet_name": "ci",
            "fleet_lock_path": str(self.root / "locks"),
            "ssh_host_tags_file": str(self.tags_file),
            "ssh_host_reboot_command": self.rack.reboot_command(),
            "ssh_host_power_off_command": f"echo off >>{self.root}/switched_off",
            "builder_drain_source": "ssh",
            "builder_drain_ssh_executable": str(self.rack.ssh_client(self.root / "ssh")),
            "builder_drain_ssh_key": "",
            "builder_drain_quiet_seconds": 0.3,
            "builder_drain_pause_seconds": 0.1,
            "builder_drain_read_pause_seconds": 1,
        }

    def rollout(self, image: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        fast = {
            "builder_rollout_look_seconds": 1,
            "builder_rollout_down_seconds": 20,
            "builder_rollout_boot_seconds": 20,
        }
        settings = {**fast, "builder_rollout_images": {"stable": image}, "builder_rollout_verify": False, **more}
        return subprocess.run(
            Emulated.command(self, "rollout", *arguments, **settings),  # type: ignore[arg-type]
            capture_output=True,
            text=True,
            env=Emulated.environment(),
            timeout=900,
            check=False,
        )

    def tags(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(self.tags_file.read_text(encoding="utf-8"))["machines"]
        return {name: tags for name, tags in found.items() if tags}

    def reboots(self) -> list[int]:
        return [machine.reboots for machine in self.rack.machines.values()]

    def images(self) -> list[str]:
        return [machine.image for machine in self.rack.machines.values()]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    made = Own(tmp_path_factory.mktemp("own"))
    yield made
    made.rack.stop()


def said(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join((result.stdout + result.stderr).split())


def test_each_machine_is_drained_rebooted_over_ssh_proved_and_restored(own: Own) -> None:
    done = own.rollout(NEW)
    assert done.returncode == 0, said(done)[-4000:]
    assert own.images() == [NEW] * 3
    assert own.reboots() == [1, 1, 1]
    assert own.tags() == {}
    assert len(own.machines_file.read_text(encoding="utf-8").splitlines()) == 3


def test_what_runs_its_image_is_left_as_it_is(own: Own) -> None:
    """Nobody has published what the machines run: they are asked."""
    again = own.rollout(NEW)
    assert again.returncode == 0, said(again)[-4000:]
    assert own.reboots() == [1, 1, 1]


def test_a_busy_machine_is_not_rebooted(own: Own) -> None:
    own.rack.image = NEWER
    own.rack.machines["rack1-a"].jobs = 1
    failed = own.rollout(NEWER, "--limit", "rack1-a", builder_drain_timeout_seconds=10)
    assert failed.returncode != 0
    assert "it was not proved idle within 10 seconds, and is in service again" in said(failed)
    assert own.reboots() == [1, 1, 1]
    assert own.tags() == {}
    assert own.rack.machines["rack1-a"].address in own.machines_file.read_text(encoding="utf-8")
    own.rack.machines["rack1-a"].jobs = 0


def test_a_machine_that_stays_away_is_given_up_and_the_others_go_on(own: Own) -> None:
    """It takes its reboots over SSH, so it cannot be asked a second time."""
    away = own.rack.machines["rack1-b"]
    away.down_seconds = float("inf")
    limits = {"builder_rollout_canaries": 0, "builder_rollout_boot_seconds": 3, "builder_rollout_action_tries": 2}
    failed = own.rollout(NEWER, "--limit", "rack1-b,rack1-c", **limits)
    assert failed.returncode != 0
    assert "it did not come back in time, asked to reboot 1 times, and 2 times it could not be asked" in said(failed)
    assert own.images() == [NEW, NEWER, NEWER]  # what the one that is away would run, if it were up
    assert own.reboots() == [1, 2, 2]
    assert "retired" in own.tags()["rack1-b"]
    assert list(own.tags()) == ["rack1-b"]
    assert away.address not in own.machines_file.read_text(encoding="utf-8")
    assert own.rack.machines["rack1-c"].address in own.machines_file.read_text(encoding="utf-8")
