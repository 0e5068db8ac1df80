# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout on the emulated cloud: every machine drained, rebooted, asked what it booted, and restored."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import Any

import local_coordinator
import pytest
from conftest import NEW, OLD

Result = subprocess.CompletedProcess[str]
FAST = {
    "builder_rollout_look_seconds": 1,
    "builder_rollout_down_seconds": 20,
    "builder_rollout_boot_seconds": 20,
    "builder_rollout_images": {"stable": NEW},
    "builder_rollout_verify": False,
}


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


def images(fleet: Any) -> set[str]:
    return {fleet.said(name)["image_id"] for name in fleet.ids()}


@pytest.fixture(scope="module")
def fleet(make_fleet: Any) -> Any:
    fleet = make_fleet()
    fleet.launch(3)
    return fleet


@pytest.mark.long
def test_every_machine_runs_the_new_image_and_is_back_in_service(fleet: Any) -> None:
    assert images(fleet) == {OLD}
    fleet.publish(NEW)
    reboots = fleet.reboots()
    done = fleet.play("rollout", **FAST, builder_rollout_at_once="2")
    assert done.returncode == 0, said(done)[-4000:]
    assert images(fleet) == {NEW}
    assert "3 of 3 machines of the fleet ci run their image, 0 failed Rebooted 3 Time" in said(done)
    assert fleet.reboots() - reboots == 3
    assert all(not {"skip-hydra", "drained-by=rollout@ci"} & set(fleet.tags(name)) for name in fleet.ids())
    assert not [tag for name in fleet.ids() for tag in fleet.tags(name) if tag.startswith("rebooting-from=")]
    assert len(fleet.machines.read_text().splitlines()) == 3
    # As a run leaves it that was killed after it had lifted the tags of the last machine.
    fleet.machines.write_text("".join(fleet.machines.read_text().splitlines(keepends=True)[:2]))
    again = fleet.play("rollout", **FAST)
    assert again.returncode == 0, said(again)[-4000:]
    assert len(fleet.machines.read_text().splitlines()) == 3
    assert f"0 failed Rebooted 0 Image {NEW}" in said(again)
    assert fleet.reboots() - reboots == 3


@pytest.mark.long
def test_a_busy_machine_is_not_rebooted_and_a_killed_controller_is_resumed(fleet: Any) -> None:
    """The first controller dies while it waits for a busy machine; the second goes on with that one."""
    newer = OLD.replace("a", "c")
    fleet.publish(newer)
    settings = {**FAST, "builder_rollout_images": {"stable": newer}}
    reboots = fleet.reboots()
    for name in fleet.ids():
        fleet.world.jobs[fleet.address(name)] = 1
    with subprocess.Popen(
        fleet.command("rollout", **settings), env=fleet.environment(), stdout=subprocess.DEVNULL, start_new_session=True
    ) as first:
        until(lambda: any("drained-by=rollout@ci" in fleet.tags(name) for name in fleet.ids()), 120)
        time.sleep(5)
        assert first.poll() is None
        first.send_signal(signal.SIGKILL)
    assert fleet.reboots() == reboots
    fleet.world.jobs.clear()
    refused = fleet.play("rollout", **settings)
    assert refused.returncode != 0
    assert "lock" in said(refused)
    done = fleet.play("rollout", **settings, fleet_lock_resume=True)
    assert done.returncode == 0, said(done)[-4000:]
    assert images(fleet) == {newer}
    assert fleet.reboots() - reboots == 3


@pytest.mark.long
def test_what_may_still_be_in_the_machines_file_is_not_rebooted(fleet: Any) -> None:
    """A controller died between the tags of a drain and the machines file, which cannot be written now either."""
    newest = OLD.replace("a", "d")
    fleet.publish(newest)
    reboots, name = fleet.reboots(), fleet.ids()[0]
    before = fleet.tags(name)
    fleet.put_tags(name, [*before, "skip-hydra", "drained-by=rollout@ci"])
    unwritable = {"nix_machines_file": str(fleet.root / "absent" / "machines")}
    settings = {**FAST, "builder_rollout_images": {"stable": newest}, "builder_rollout_action_tries": 2}
    failed = fleet.play("rollout", **settings, **unwritable)
    assert failed.returncode != 0
    assert fleet.reboots() == reboots, said(failed)[-4000:]
    assert not [tag for tag in fleet.tags(name) if tag.startswith("rebooting-from=")]
    fleet.put_tags(name, before)


@pytest.mark.long
def test_a_rollout_whose_lock_was_broken_ends_at_once(fleet: Any) -> None:
    """Whoever broke it may have machines in their hands: it is not counted as a trouble of the API."""
    image = OLD.replace("a", "e")
    settings = {**FAST, "builder_rollout_images": {"stable": image}, "builder_rollout_action_tries": 1000}
    reboots, before = fleet.reboots(), {name: fleet.tags(name) for name in fleet.ids()}
    for name in before:
        fleet.world.jobs[fleet.address(name)] = 1
    with subprocess.Popen(
        fleet.command("rollout", **settings),
        env=fleet.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            until(lambda: any("drained-by=rollout@ci" in fleet.tags(name) for name in before), 120)
            shutil.rmtree(fleet.root / "locks")
            told, _nothing = running.communicate(timeout=120)
        finally:
            end(running)
    fleet.world.jobs.clear()
    for name, tags in before.items():
        fleet.put_tags(name, tags)
    assert running.returncode != 0
    assert "lock" in told.split("TASK")[-2] + told.rsplit("TASK", maxsplit=1)[-1], told[-3000:]
    assert fleet.reboots() == reboots


@pytest.mark.long
def test_a_machine_that_is_reclaimed_in_the_middle_does_not_end_the_rollout(fleet: Any) -> None:
    """The play runs on behalf of the machines, and the first of them is the one that goes."""
    image = OLD.replace("a", "f")
    fleet.publish(image)
    settings = {**FAST, "builder_rollout_images": {"stable": image}, "builder_rollout_canaries": 0}
    victim, *others = fleet.ids()
    fleet.world.jobs[fleet.address(victim)] = 1
    with subprocess.Popen(
        fleet.command("rollout", **settings),
        env=fleet.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            until(lambda: "drained-by=rollout@ci" in fleet.tags(victim), 120)
            fleet.world.delete(f"/metal/v1/devices/{victim}")
            told, _nothing = running.communicate(timeout=600)
        finally:
            end(running)
    fleet.world.jobs.clear()
    assert running.returncode != 0
    assert f"{victim}: it is gone, reclaimed or terminated by somebody else" in " ".join(told.split())
    assert {fleet.said(name)["image_id"] for name in others} == {image}
    assert not [name for name in others if "skip-hydra" in fleet.tags(name)]
    assert not list((fleet.root / "locks").glob("*.lock")), "the lock was given back"


@pytest.mark.long
def test_test_builds_go_by_the_coordinators_own_settings(fleet: Any) -> None:
    """It has no busybox for the machine's system, where the role's default names one; so the machine cannot be asked, and stays drained."""
    image = OLD.replace("a", "0")
    fleet.publish(image)
    (group,) = local_coordinator.hosts(fleet.root)["all"]["children"].values()
    own = {**group["hosts"]["coordinator"], "builder_verify_busybox": {"riscv64-linux": "/bin/busybox"}}
    fleet.write("hosts.yml", {"all": {"children": {"nix_coordinators": {"hosts": {"coordinator": own}}}}})
    settings = {**FAST, "builder_rollout_images": {"stable": image}, "builder_rollout_verify": True}
    name = fleet.ids()[0]
    failed = fleet.play("rollout", "--limit", name, **settings)
    assert failed.returncode != 0
    assert "none of its systems (x86_64-linux) has a busybox in builder_verify_busybox" in said(failed), said(failed)[
        -4000:
    ]
    assert "drained-by=rollout@ci" in fleet.tags(name)


def end(running: subprocess.Popen[str]) -> None:
    """With all that it started, which holds its output open: it leads a session of its own."""
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)


def until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
