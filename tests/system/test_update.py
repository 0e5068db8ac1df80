# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout on machines that really boot, while builds go on; a machine that does not come back; and one that is taken back.

The file's name puts it behind the tests that know the machines' first boot.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from demo import builders
from lab_driver import Lab

Machines = list[dict[str, Any]]
SETTINGS = {
    "builder_rollout_look_seconds": 5,
    "builder_drain_quiet_seconds": 20,
    "builder_drain_pause_seconds": 4,
    "builder_rollout_boot_seconds": 900,
}
# A few seconds on whichever machine Nix chooses; its number makes it another build each time.
JOB = """
let static = builtins.path { name = "static"; path = /usr/bin; filter = path: _: baseNameOf path == "busybox"; }; in
derivation {
  name = "load-NUMBER"; system = "x86_64-linux"; builder = "${static}/busybox";
  args = [ "sh" "-euc" "$busybox sleep 4; read -r boot </proc/sys/kernel/random/boot_id; echo $boot >$out" ];
  busybox = "${static}/busybox";
}
"""


@dataclass
class Load:
    """Builds, one after the other in each of two threads, that the coordinator may not do itself."""

    lab: Lab
    stop: threading.Event = field(default_factory=threading.Event)
    built: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def run(self, thread: int) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            text = JOB.replace("NUMBER", f"{time.time_ns()}-{thread}-{number}")
            done = self.lab.coordinator('cat "$(nix-build --no-out-link --max-jobs 0 -E "$(cat)")"', text, check=False)
            (self.built if done.returncode == 0 else self.lost).append(done.stdout.strip() or done.stderr[-2000:])


@pytest.fixture
def load(lab: Lab, handed_over: Machines) -> Iterator[Load]:
    load = Load(lab)
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    yield load
    load.stop.set()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="session")
def next_release(lab: Lab, handed_over: Machines) -> str:
    """The image id of a second release, which the channel boots from now on."""
    key = {
        name: (lab.directory / "ssh" / f"{name}.pub").read_text().strip()
        for name in ("id_ed25519", "builder_ed25519", "facts_ed25519")
    }
    args = {
        "packages": "/srv/nixmetal-lab/packages",
        "busybox": "/usr/bin/busybox",
        "authorizedKeys": [key["id_ed25519"], key["builder_ed25519"]],
        "factsKeys": [key["facts_ed25519"]],
        # Another command line makes another image, of the same segments.
        "kernelParams": ["panic=10", "random.trust_cpu=on", "nixmetal.test=second"],
    }
    settings = {"channel": "lab-x86_64-linux", "file": "lab/default.nix", "args": args}
    lab.play("build", netboot_image_settings=settings).succeeded()
    return str(json.loads(lab.web_host("cat /srv/netboot/lab-x86_64-linux/manifest.json").stdout)["image_id"])


@pytest.mark.long
def test_a_rollout_under_load_loses_no_build(lab: Lab, load: Load, next_release: str) -> None:
    before = builders(lab.listing())
    assert all(machine["builder_image_id"] != next_release for machine in before)
    lab.play("rollout", **SETTINGS).succeeded()
    load.stop.set()
    after = builders(lab.listing())
    assert {machine["builder_id"] for machine in after} == {machine["builder_id"] for machine in before}
    assert {machine["builder_image_id"] for machine in after} == {next_release}
    assert not {machine["builder_boot_id"] for machine in after} & {machine["builder_boot_id"] for machine in before}
    assert not any(machine["builder_draining"] for machine in after)
    print(f"{len(load.built)} builds under the rollout, {len(load.lost)} lost")
    assert load.lost == []
    # They ran on both machines, before and after.
    boots = {machine["builder_boot_id"] for machine in [*before, *after]}
    assert set(load.built) <= boots
    assert len(set(load.built)) >= 3
    lab.play("rollout", **SETTINGS).succeeded()
    assert {machine["builder_boot_id"] for machine in builders(lab.listing())} == {
        machine["builder_boot_id"] for machine in after
    }


@pytest.mark.long
def test_a_machine_that_does_not_come_back_is_terminated_and_replaced(
    lab: Lab, handed_over: Machines, tmp_path: Path
) -> None:
    before = {machine["builder_id"]: machine for machine in builders(lab.listing())}
    victim = min(before)
    address = before[victim]["builder_address"]
    # The web host cannot answer it any more, so that its iPXE finds nothing to boot.
    lab.web_host(f"ip route add blackhole {address}/32")
    try:
        failed = lab.play(
            "rollout",
            "--limit",
            victim,
            **SETTINGS
            | {
                "builder_rollout_again": True,
                "builder_rollout_boot_seconds": 40,
                "builder_rollout_down_seconds": 40,
                "builder_terminate_console_directory": str(tmp_path),
                "builder_terminate_console_command": [
                    "tail",
                    "-n",
                    "300",
                    f"{lab.directory}/cloud/machines/%ID%/console.log",
                ],
            },
        ).refused("did not come back in time, asked to reboot 2 times")
    finally:
        lab.web_host(f"ip route del blackhole {address}/32")
    assert "is kept in" in failed.text
    console = next(tmp_path.glob(f"{victim}-*.log")).read_text(errors="replace")
    assert "netboot.ipxe" in console
    deadline = time.monotonic() + 600
    while True:
        now = {machine["builder_id"]: machine for machine in builders(lab.listing())}
        fresh = [machine for name, machine in now.items() if name not in before and machine["builder_host_key"]]
        if victim not in now and fresh:
            break
        assert time.monotonic() < deadline, now
        time.sleep(5)


def jobs(lab: Lab, machine: dict[str, Any]) -> int:
    """The builds that a machine says it runs."""
    login = f"build@{machine['builder_address']}"
    told = lab.login("facts_ed25519", login, machine["builder_host_key"], "")
    return int(json.loads(told.stdout)["jobs"]) if told.returncode == 0 else 0


def until(condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(2)


def build(lab: Lab, name: str, seconds: int) -> subprocess.CompletedProcess[str]:
    """A build that says which boot it ran in; its name says whether it is another one."""
    text = JOB.replace("load-NUMBER", name).replace("sleep 4", f"sleep {seconds}")
    return lab.coordinator('cat "$(nix-build --no-out-link --max-jobs 0 -E "$(cat)")"', text, check=False)


@pytest.mark.long
def test_builds_of_a_machine_that_is_taken_back_are_done_elsewhere(lab: Lab, handed_over: Machines) -> None:
    """The notice of the market is two minutes, and the build would take longer. The machine ends without a word to anybody."""
    until(lambda: len([one for one in builders(lab.listing()) if one["builder_host_key"]]) == 2, 600)
    lab.play("machines").succeeded()
    victim, survivor = sorted(builders(lab.listing()), key=lambda machine: str(machine["builder_id"]))
    with ThreadPoolExecutor(2) as pool:
        number = time.time_ns()
        names = [f"reclaimed-{number}-{letter}" for letter in "ab"]
        runs = {name: pool.submit(build, lab, name, 400) for name in names}
        until(lambda: jobs(lab, victim) == 1 and jobs(lab, survivor) == 1, 120)
        place = {"plan": victim["builder_plan"], "metro": victim["builder_location"]}
        lab.control("POST", "/prices", {**place, "price": 9})
        # One of the two is bought on demand at the last moment, so nobody can outbid it.
        lab.change(survivor["builder_id"], {"spot_instance": False})
        told = lab.play("reclaim").succeeded()
        assert f"{victim['builder_id']} will be reclaimed at" in told.text
        file = lab.coordinator("cat /etc/nix/machines").stdout
        assert victim["builder_address"] not in file
        assert survivor["builder_address"] in file
        lab.play("machines").succeeded()
        assert victim["builder_address"] not in lab.coordinator("cat /etc/nix/machines").stdout
        until(lambda: [one["builder_id"] for one in builders(lab.listing())] == [survivor["builder_id"]], 300)
        # SSH notices that the machine is gone; the kernel alone would wait for it for two hours.
        ended = {name: run.result(timeout=600) for name, run in runs.items()}
    (lost,) = [name for name, run in ended.items() if run.returncode != 0]
    (kept,) = [name for name, run in ended.items() if run.returncode == 0]
    assert ended[kept].stdout.strip() == survivor["builder_boot_id"]
    again = build(lab, lost, 300)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.strip() == survivor["builder_boot_id"]
