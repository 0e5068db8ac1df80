# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The autoscaler beside a rollout of its own machines, in a project with a stranger's machine. Told in order, on one cloud."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import NEW, OLD, PROJECT

pytestmark = pytest.mark.long

OWNER = "drained-by=rollout@ci"
CLASS = {
    "name": "small",
    "systems": ["x86_64-linux"],
    "max": 4,
    "divisor": 10,
    "grace_seconds": 0,
    "cool_down_seconds": 0,
    "billing_period_seconds": 0,
    "offers": [
        {
            "provider": "equinix_metal",
            "plan": "c3.small.x86",
            "metros": ["am"],
            "max_bid_usd_per_hour": 0.5,
            "channel": "stable",
        }
    ],
}
ROLLOUT = {
    "builder_rollout_look_seconds": 1,
    "builder_rollout_down_seconds": 60,
    "builder_rollout_boot_seconds": 60,
    "builder_rollout_images": {"stable": NEW},
    "builder_rollout_verify": False,
    "nix_machines_allow_empty": True,
}
Result = subprocess.CompletedProcess[str]


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


def autoscale(fleet: Any, runnable: int, **variables: Any) -> Result:
    fleet.world.runnable = runnable
    result: Result = fleet.play(
        "autoscale",
        fleet_autoscale_classes=[CLASS],
        fleet_autoscale_hydra_url=f"{fleet.world.url}/queue-runner-status",
        fleet_autoscale_state_file=str(fleet.root / "autoscale" / "ci.json"),
        fleet_autoscale_check_channels=False,
        fleet_autoscale_idle_timeout_seconds=20,
        nix_machines_allow_empty=True,
        **variables,
    )
    return result


def own(fleet: Any) -> list[str]:
    """The machines of the fleet that are not on their way out."""
    return sorted(
        device["id"]
        for device in fleet.world.devices()
        if "nixmetal-fleet=ci" in device["tags"] and device["state"] != "deprovisioning"
    )


def as_it_is(fleet: Any) -> dict[str, list[str]]:
    return {device["id"]: device["tags"] for device in fleet.world.devices()}


def drained(fleet: Any) -> list[str]:
    return [name for name in own(fleet) if OWNER in fleet.tags(name)]


def until(condition: Callable[[], Any], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.fixture(scope="module")
def fleet(make_fleet: Any) -> Any:
    """Three machines that the autoscaler bought, and one of a stranger."""
    fleet = make_fleet()
    order = {"plan": "c3.small.x86", "metro": "am", "operating_system": "custom_ipxe", "hostname": "strangers"}
    order["ipxe_script_url"] = "http://192.0.2.1/stable/netboot.ipxe"
    fleet.world.post(f"/metal/v1/projects/{PROJECT}/devices", order)
    done = autoscale(fleet, 25)
    assert done.returncode == 0, said(done)[-4000:]
    until(lambda: len(own(fleet)) == 3 and all(fleet.said(name).get("boot_id") for name in own(fleet)))
    return fleet


@pytest.fixture(scope="module")
def rollout(fleet: Any) -> Iterator[subprocess.Popen[str]]:
    """One that has drained its first machine, which is busy, and waits."""
    fleet.publish(NEW)
    fleet.world.jobs = {fleet.address(own(fleet)[0]): 1}
    with (fleet.root / "rollout.log").open("w", encoding="utf-8") as log:
        running = subprocess.Popen(
            fleet.command("rollout", **ROLLOUT),
            env=fleet.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        until(lambda: drained(fleet) or running.poll() is not None)
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()


@pytest.mark.parametrize("runnable", [0, 1000], ids=["nothing-waits", "much-waits"])
def test_whatever_waits_the_rollout_has_the_lock(fleet: Any, rollout: subprocess.Popen[str], runnable: int) -> None:
    before = as_it_is(fleet)
    refused = autoscale(fleet, runnable)
    assert refused.returncode != 0
    assert "rollout" in said(refused), said(refused)[-4000:]
    assert "lock" in said(refused)
    assert as_it_is(fleet) == before
    assert rollout.poll() is None
    assert drained(fleet) == [own(fleet)[0]]


def test_a_controller_that_died_leaves_its_lock_and_its_machine(fleet: Any, rollout: subprocess.Popen[str]) -> None:
    """With the lock broken on purpose the autoscaler goes on, and leaves alone what the rollout drains, though it is idle now."""
    victim, *others = own(fleet)
    os.killpg(rollout.pid, signal.SIGKILL)
    rollout.wait()
    fleet.world.jobs.clear()
    before = as_it_is(fleet)
    assert autoscale(fleet, 0).returncode != 0
    assert as_it_is(fleet) == before
    shutil.rmtree(fleet.root / "locks")
    done = autoscale(fleet, 0)
    assert done.returncode == 0, said(done)[-4000:]
    assert "is drained by somebody else" in said(done)
    assert own(fleet) == [victim]
    assert OWNER in fleet.tags(victim)
    assert not [name for name in others if name in own(fleet)]


def test_the_rollout_goes_on_with_what_is_left_and_what_was_bought_meanwhile(fleet: Any) -> None:
    (victim,) = own(fleet)
    assert fleet.said(victim)["image_id"] == OLD
    bought = autoscale(fleet, 15)
    assert bought.returncode == 0, said(bought)[-4000:]
    until(lambda: all(fleet.said(name).get("boot_id") for name in own(fleet)))
    assert len(own(fleet)) == 2, "two are wanted, and the drained one is expected back, so one is bought"
    done = fleet.play("rollout", **ROLLOUT, fleet_lock_resume=True)
    assert done.returncode == 0, said(done)[-4000:]
    assert {fleet.said(name)["image_id"] for name in own(fleet)} == {NEW}
    assert victim in own(fleet)
    assert len(own(fleet)) == 2
    assert drained(fleet) == []
    assert "strangers" in {device["hostname"] for device in fleet.world.devices()}
    (stranger,) = [device for device in fleet.world.devices() if device["hostname"] == "strangers"]
    assert stranger["tags"] == []
    assert fleet.said(stranger["id"])["image_id"] == OLD, "it was not rebooted"
