# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Autoscaling on the lab's simulated backend: real readings, real purchases, tags and terminations, while everything that can fail does.

What the machines do is the test's own; what the autoscaler is told of it comes from a Prometheus that is down, empty or has another label
at times. The API answers errors and garbage, before or after a call took effect, and the controller dies between a call and its answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    builders,
    device_tags,
    device_tasks,
    errors,
    spot_tasks,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import (
    DEVICE_OPTIONS,
    SPOT_REQUEST_OPTIONS,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.facts import Choices
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale import Readings, autoscale_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_order import autoscale_order
from fleet_world import offer, settings, size

CHANNELS = ({"name": "stable", "base_url": "http://web.test"},)
PLANS = {"c3.small.x86": {"defaults": {"systems": ["x86_64-linux"], "max_jobs": 4}}}
DEFAULTS = {name: spec.get("default") for name, spec in DEVICE_OPTIONS.items()}
SPOT = {name: spec.get("default") for name, spec in SPOT_REQUEST_OPTIONS.items()}
DRAIN = ["skip-hydra", "drained-by=autoscale"]
REQUESTED, STRANGERS = 3, 4


class Fleet:
    """One fleet of up to `most` machines, under one seed."""

    def __init__(self, emulation: Any, api: Any, seed: int, most: int) -> None:
        self.emulation, self.api, self.most = emulation, api, most
        self.dice = random.Random(seed)
        # Drawn once a reading, so that a seed tells which of them fail: the other draws go by the machines, whose ids are not seeded.
        self.fates = random.Random(f"what is read, seed {seed}")
        self.seen: Counter[str] = Counter()
        self.jobs: dict[str, int] = {}
        self.state: Any = None
        self.faulty = emulation.Faulty(api, seed, 0.01)
        self.ceiling = (most - REQUESTED) * 0.5 + REQUESTED * 0.3
        self.settings = settings(
            size(max=most, divisor=1, grace_seconds=0, cool_down_seconds=600, max_age_seconds=4 * 3600, offers=[offer(metros=["am"])]),
            ceiling_usd_per_hour=self.ceiling, max_removals=most,
        )  # fmt: skip
        common = {"plan": "c3.small.x86", "ipxe_script_url": "http://web.test/netboot.ipxe"}
        bid = {
            "fleet": "lab",
            "name": "base",
            "metro": "am",
            "max_bid_price": 0.3,
            "devices_max": REQUESTED,
            "devices_min": REQUESTED,
        }
        spot_tasks.apply(api.client(), {**SPOT, **common, **bid}, False)
        other = {"fleet": "other", "name": "own", "metros": ["am"], "count": STRANGERS}
        device_tasks.apply(api.client(), {**DEFAULTS, **common, **other}, False)
        self.api.sleep(600)
        self.untouchable = {device.id for device in api.live()}
        assert len(self.untouchable) == REQUESTED + STRANGERS

    def live(self) -> dict[str, Any]:
        return {device.id: device for device in self.api.live()}

    def run(self, runnable: int) -> None:
        """One run of the playbook: it ends at a reading that fails, and wherever the controller dies."""
        self.api.spoil = self.spoil
        try:
            plan = autoscale_plan(self.readings(runnable), self.settings)
            self.state = plan["state"]
            self.forgets_none(plan)
            self.act(plan)
        except errors.MetalError:
            self.seen["runs that failed"] += 1
        except self.emulation.Crash:
            self.seen["controllers that died"] += 1
        finally:
            self.api.spoil = lambda _call: None
        self.check()

    def spoil(self, call: Any) -> Any:
        outcome = self.faulty(call)
        self.check()
        return outcome

    def readings(self, runnable: int) -> Readings:
        taken = builders.take([self.api.client()], builders.Scope(), 1)
        if not taken.complete:
            raise errors.MetalError("the reading is not complete")
        hosts = [builders.host_variables(machine, Choices(plans=PLANS)) for machine in taken.machines]
        down = self.fates.random() < 0.1
        self.seen["queues that were unknown"] += down
        requests = [{"id": name, "ours": True, "count": REQUESTED, "max_bid_usd_per_hour": 0.3, "device_ids": []}
                    for name in self.api.cloud.store.spot_requests]  # fmt: skip
        waiting = [{"system": "x86_64-linux", "features": [], "runnable": runnable, "running": 0}]
        return Readings(
            builders=hosts, queue=None if down else waiting, queue_reason="down", jobs=self.told_jobs(), requests=requests, offers={},
            prices={}, blocked={}, state=self.state if self.dice.random() < 0.95 else None,
            now=datetime.fromtimestamp(self.api.cloud.clock.now(), UTC),
        )  # fmt: skip

    def told_jobs(self) -> dict[str, Any]:
        fate = self.fates.choice(["all"] * 6 + ["down", "empty", "another label"])
        self.seen[f"Prometheus: {fate}"] += 1
        share = {"all": 1.0, "another label": 0.3}.get(fate, 0.0)
        return {name: {"jobs": self.jobs.get(name, 0)} for name in self.live() if self.dice.random() < share}

    def forgets_none(self, plan: dict[str, Any]) -> None:
        named = {entry["builder"] for entry in plan["decisions"]}
        ours = {name for name, device in self.live().items() if "nixmetal-fleet=lab" in device.tags}
        assert ours <= named, "a machine has no decision"

    def act(self, plan: dict[str, Any]) -> None:
        """As role fleet_autoscale does: machines come before machines go; who goes is drained, proved idle, and ended."""
        client = self.api.client()
        for creation in plan["create"]:
            bid = autoscale_order(self.settings.classes, creation, CHANNELS)["bid"]
            order = {
                "fleet": "lab",
                "name": bid["name"],
                "plan": bid["plan"],
                "metros": [bid["metro"]],
                "count": bid["count"],
            }
            more = {
                "spot_price_max": bid["max_bid_usd_per_hour"],
                "ipxe_script_url": bid["boot_url"],
                "tags": bid["tags"],
            }
            device_tasks.apply(client, {**DEFAULTS, **order, **more}, False)
        for name in plan["restore"]:
            device_tags.apply(client, {"state": "absent", "fleet": "lab", "machines": {name: DRAIN}}, False)
        for name in plan["drain"] + plan["remove"]:
            if self.dice.random() < 0.1 and self.builds(name):
                self.jobs[name] = 1  # given a build just before it was drained
            device_tags.apply(client, {"state": "present", "fleet": "lab", "machines": {name: DRAIN}}, False)
        for name in plan["remove"]:
            if not self.jobs.get(name):
                device_tasks.apply(client, {**DEFAULTS, "state": "absent", "fleet": "lab", "device_id": name}, False)

    def builds(self, name: str) -> bool:
        device = self.live().get(name)
        return device is not None and device.state == "active" and "skip-hydra" not in device.tags

    def check(self) -> None:
        """At every moment, also between two calls."""
        live = self.live()
        assert self.untouchable <= set(live), "a machine of a request or of a stranger is gone"
        assert not any("skip-hydra" in live[name].tags for name in self.untouchable)
        own = [device for name, device in live.items() if name not in self.untouchable]
        usd = len(own) * 0.5 + REQUESTED * 0.3
        assert usd <= self.ceiling + 1e-9, f"{usd} USD per hour, beyond the ceiling"
        self.seen["most machines"] = max(self.seen["most machines"], len(own) + REQUESTED)
        busy = {name for name, number in self.jobs.items() if number}
        assert busy <= set(live), "a busy machine is gone"

    def live_on(self, busy: float) -> None:
        """Five minutes: builds begin and end, machines fail or get stuck; the provider takes an idle one back."""
        self.api.sleep(300)
        for name, device in self.live().items():
            if self.builds(name):
                self.jobs[name] = int(self.dice.random() < busy) * self.dice.randint(1, 4)
            elif device.state != "active" or self.dice.random() < 0.5:
                self.jobs[name] = 0
            if name not in self.untouchable and not self.jobs.get(name):
                self.break_one(device)
        self.jobs = {name: number for name, number in self.jobs.items() if name in self.live()}

    def break_one(self, device: Any) -> None:
        fate = self.dice.random()
        if fate < 0.004:
            self.api.cloud.machines.failed(device.id, "it does not come up")
            self.seen["machines that failed"] += 1
        elif fate < 0.008:
            self.api.cloud.devices.move(device, "provisioning")
            self.seen["machines that were stuck"] += 1
        elif fate < 0.010:
            self.api.cloud.devices.end(device)
            self.seen["machines that were reclaimed"] += 1


def play(emulation: Any, directory: Path, seed: int, most: int, runs: int, tell: Callable[[str], None]) -> Fleet:
    # The lab's own pool has 99 addresses.
    pool = {"first": "10.213.76.10", "last": "10.213.77.250", "gateway": "10.213.76.1"}
    with emulation.emulated(directory, pool=pool) as api:
        fleet = Fleet(emulation, api, seed, most)
        for number in range(runs):
            high = number % 16 < 9
            fleet.live_on(0.7 if high else 0.2)
            fleet.run(fleet.dice.randint(most // 2, most + 20) if high else fleet.dice.randint(0, 3))
        fleet.seen["faults of the API"] = fleet.faulty.faults
        fleet.seen["machines bought"] = len([call for call in api.posts() if call.path.endswith("/devices")])
        fleet.seen["machines ended"] = len([call for call in api.calls if call.method == "DELETE"])
        words = ", ".join(f"{what} {count}" for what, count in sorted(fleet.seen.items()))
        tell(f"autoscaling of up to {most} machines on the emulator, seed {seed}, {runs} runs: {words}")
        return fleet


def test_a_small_fleet(emulation: Any, tmp_path: Path, tell: Callable[[str], None]) -> None:
    fleet = play(emulation, tmp_path, 1, 14, 32, tell)
    assert fleet.seen["machines bought"] >= 10
    assert fleet.seen["machines ended"] >= 5


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_two_hundred_machines(emulation: Any, tmp_path: Path, seed: int, tell: Callable[[str], None]) -> None:
    fleet = play(emulation, tmp_path, seed, 200, 48, tell)
    assert fleet.seen["most machines"] >= 150
    broken = {
        "controllers that died",
        "runs that failed",
        "queues that were unknown",
        "machines that failed",
        "machines that were stuck",
    }
    for what in sorted(
        broken | {"Prometheus: down", "Prometheus: empty", "Prometheus: another label", "machines ended"}
    ):
        assert fleet.seen[what] > 0, what
