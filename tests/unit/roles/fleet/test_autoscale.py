# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""autoscale.yml from a queue to machines and back, on the emulated cloud, with a Hydra that the test speaks for.

The tests are told in order, on one cloud: each begins where the one before it ended.
"""

from __future__ import annotations

import concurrent.futures
import http.server
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.lock import Wish, acquire, lock_place, release

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
OFFER = {
    "provider": "equinix_metal",
    "plan": "c3.small.x86",
    "metros": ["am"],
    "max_bid_usd_per_hour": 0.5,
    "channel": "stable",
}
CLASS = {
    "name": "small",
    "systems": ["x86_64-linux"],
    "max": 3,
    "divisor": 10,
    "grace_seconds": 0,
    "cool_down_seconds": 0,
    "billing_period_seconds": 0,
    "offers": [OFFER],
}


class Hydra(http.server.ThreadingHTTPServer):
    """A queue runner's status, in which every machine of the cloud is listed with the jobs that a test gives it."""

    def __init__(self, fleet: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fleet = fleet
        self.url = f"http://127.0.0.1:{self.server_address[1]}/queue-runner-status"
        self.runnable = 0
        self.up = True
        self.jobs: dict[str, int] = {}

    def status(self) -> dict[str, Any]:
        machines = {
            f"build@{address(device)}": {"currentJobs": self.jobs.get(device["id"], 0)}
            for device in devices(self.fleet)
        }
        types = {"x86_64-linux": {"runnable": self.runnable, "running": sum(self.jobs.values())}}
        return {
            "status": "up" if self.up else "down",
            "time": int(time.time()),
            "machines": machines,
            "machineTypes": types,
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the status."""

    server: Hydra

    def do_GET(self) -> None:
        body = json.dumps(self.server.status()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def devices(fleet: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = fleet.api.get(f"/projects/{PROJECT}/devices").json()["devices"]
    return found


def staying(fleet: Any) -> list[dict[str, Any]]:
    """A machine that was ended stays in the list for a moment."""
    return [device for device in devices(fleet) if device["state"] != "deprovisioning"]


def address(device: dict[str, Any]) -> str:
    return next(str(ip["address"]) for ip in device["ip_addresses"] if ip["public"] and ip["address_family"] == 4)


@pytest.fixture(scope="module")
def hydra(fleet: Any) -> Iterator[Hydra]:
    with Hydra(fleet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def play(fleet: Any, hydra: Hydra, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    result: subprocess.CompletedProcess[str] = fleet.play(
        "autoscale",
        *arguments,
        fleet_autoscale_classes=[CLASS],
        fleet_autoscale_hydra_url=hydra.url,
        fleet_autoscale_state_file=str(fleet.root / "autoscale" / "ci.json"),
        fleet_autoscale_check_channels=False,
        fleet_autoscale_idle_timeout_seconds=4,
        builder_drain_source="hydra",
        builder_drain_url=hydra.url,
        builder_drain_quiet_seconds=0.5,
        builder_drain_pause_seconds=0.2,
        spot_fleet_bids=[],
        nix_machines_allow_empty=True,
        **variables,
    )
    return result


def changed(result: subprocess.CompletedProcess[str]) -> int:
    found = re.search(r"localhost\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", result.stdout)
    assert found, result.stdout + result.stderr
    return int(found.group(1))


def said(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join(result.stdout.replace("\\n", " ").split())


def asked_for_devices(fleet: Any) -> bool:
    calls = fleet.lab.get("/calls").json()["calls"]
    return any(call["method"] == "GET" and call["path"].endswith(f"/{PROJECT}/devices") for call in calls)


def come_up(fleet: Any) -> None:
    """Until every machine has told its host key, which the inventory reads from its events."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        told = [fleet.api.get(f"/devices/{device['id']}/events").json()["events"] for device in devices(fleet)]
        if all(any("ssh-ed25519" in json.dumps(event) for event in events) for events in told):
            return
        time.sleep(0.1)
    raise AssertionError("a machine did not come up")


def test_a_queue_is_followed_up(fleet: Any, hydra: Hydra) -> None:
    stranger = {
        "plan": "c3.small.x86",
        "metro": "am",
        "operating_system": "custom_ipxe",
        "ipxe_script_url": "http://192.0.2.1/x",
    }
    fleet.api.post(f"/projects/{PROJECT}/devices", json=stranger).raise_for_status()
    hydra.runnable = 11
    result = play(fleet, hydra)
    assert changed(result) == 1, "one purchase, of two machines"
    own = [device for device in devices(fleet) if "nixmetal-autoscale=small.c3-small-x86" in device["tags"]]
    assert len(own) == 2
    assert len(devices(fleet)) == 3
    assert all("nixmetal-usd-per-hour=0.5" in device["tags"] for device in own)
    assert json.loads((fleet.root / "autoscale" / "ci.json").read_text(encoding="utf-8"))["wanted"]["small"][-1][1] == 2
    assert not list((fleet.root / "locks").glob("*.lock")), "the lock was given back"


@pytest.mark.long
def test_what_another_run_bought_while_it_held_the_lock_is_counted(fleet: Any, hydra: Hydra) -> None:
    """The inventory was read before the lock was there to be taken."""
    come_up(fleet)
    place = lock_place(str(fleet.root / "locks"), "ci")
    held = acquire(place, Wish("alice@elsewhere", "autoscale"))
    fleet.lab.delete("/calls").raise_for_status()
    hydra.runnable = 25
    until = time.monotonic() + 300
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(play, fleet, hydra, fleet_lock_wait_seconds=120)
        while not asked_for_devices(fleet) and time.monotonic() < until:
            time.sleep(0.1)
        (tags,) = [device["tags"] for device in devices(fleet) if "nixmetal-fleet=ci" in device["tags"]][:1]
        marks = [tag for tag in tags if not tag.startswith(("nixmetal-bid=", "nixmetal-order="))]
        third = {
            "plan": "c3.small.x86",
            "metro": "am",
            "operating_system": "custom_ipxe",
            "ipxe_script_url": "http://192.0.2.1/x",
            "tags": [*marks, "nixmetal-bid=another-offer", "nixmetal-order=1"],
        }
        bought = fleet.api.post(f"/projects/{PROJECT}/devices", json=third).raise_for_status().json()
        release(place, held.claim["lock_id"])
        result = run.result()
    assert changed(result) == 0, "three are wanted, and three are there"
    assert len(devices(fleet)) == 4
    fleet.api.delete(f"/devices/{bought['id']}").raise_for_status()
    while len(devices(fleet)) > 3 and time.monotonic() < until:
        time.sleep(0.1)
    hydra.runnable = 11


@pytest.mark.long
def test_a_machine_that_comes_up_after_it_was_given_up_is_left_alone(
    fleet: Any, hydra: Hydra, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_up(fleet)
    listed = fleet.api.get(f"/projects/{PROJECT}/devices").json()
    own = [device for device in listed["devices"] if "nixmetal-fleet=ci" in device["tags"]]
    own[0]["state"] = "failed"
    failed = {"kind": "status", "status": 200, "body": json.dumps(listed), "path": "*/devices", "method": "GET"}
    fleet.lab.post("/faults", json={**failed, "count": None}).raise_for_status()
    honest = hydra.status

    def late() -> dict[str, Any]:
        """The queue is asked after the machines are read, and before anything is decided."""
        fleet.lab.delete("/faults").raise_for_status()
        return honest()

    monkeypatch.setattr(hydra, "status", late)
    hydra.runnable = 1
    result = play(fleet, hydra)
    hydra.runnable = 11
    assert "its state is failed" in said(result)
    left = {device["id"]: device["tags"] for device in devices(fleet)}
    assert len(left) == 3
    assert "skip-hydra" not in left[own[0]["id"]]


@pytest.mark.long
def test_the_same_queue_again_buys_nothing(fleet: Any, hydra: Hydra) -> None:
    come_up(fleet)
    result = play(fleet, hydra)
    assert changed(result) == 0
    assert "nothing is to be done" in said(result)
    assert len(devices(fleet)) == 3


@pytest.mark.long
def test_check_mode_shows_the_decision_and_does_nothing(fleet: Any, hydra: Hydra) -> None:
    hydra.runnable = 25
    before = (fleet.root / "autoscale" / "ci.json").read_text(encoding="utf-8")
    result = play(fleet, hydra, "--check")
    assert changed(result) == 0
    assert "create small: 3 wanted, 2 there or coming" in said(result)
    assert len(devices(fleet)) == 3
    assert (fleet.root / "autoscale" / "ci.json").read_text(encoding="utf-8") == before


@pytest.mark.long
def test_a_queue_runner_that_is_down_changes_nothing(fleet: Any, hydra: Hydra) -> None:
    hydra.up = False
    result = play(fleet, hydra)
    hydra.up = True
    assert changed(result) == 0
    assert "the queue runner is not up: its status is 'down'" in said(result)
    assert len(devices(fleet)) == 3


@pytest.mark.long
def test_a_failing_api_changes_nothing(fleet: Any, hydra: Hydra) -> None:
    fault = {"kind": "status", "status": 500, "path": "*/spot-market-requests", "count": None}
    fleet.lab.post("/faults", json=fault).raise_for_status()
    try:
        result = play(fleet, hydra)
    finally:
        fleet.lab.delete("/faults").raise_for_status()
    assert result.returncode != 0
    assert len(devices(fleet)) == 3
    assert not list((fleet.root / "locks").glob("*.lock")), "the lock was given back"


def test_what_is_not_needed_goes_but_no_busy_machine_and_no_strangers(fleet: Any, hydra: Hydra) -> None:
    come_up(fleet)
    own = [device["id"] for device in devices(fleet) if "nixmetal-autoscale=small.c3-small-x86" in device["tags"]]
    hydra.runnable, hydra.jobs = 0, {own[0]: 3}
    result = play(fleet, hydra)
    assert changed(result) > 0
    left = {device["id"]: device["tags"] for device in staying(fleet)}
    assert own[0] in left
    assert "skip-hydra" not in left[own[0]], "it is busy, so it is left as it is"
    assert own[1] not in left
    assert len(left) == 2, "the busy machine and the stranger"


@pytest.mark.long
def test_a_build_that_begins_meanwhile_keeps_its_machine(
    fleet: Any, hydra: Hydra, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own,) = [device["id"] for device in staying(fleet) if "nixmetal-autoscale=small.c3-small-x86" in device["tags"]]
    hydra.jobs = {}
    honest = hydra.status

    def late() -> dict[str, Any]:
        """As soon as the machine is drained, it turns out to have been given a build just before."""
        if any("skip-hydra" in device["tags"] for device in devices(fleet)):
            hydra.jobs = {own: 1}
        return honest()

    monkeypatch.setattr(hydra, "status", late)
    play(fleet, hydra)
    (left,) = [device for device in devices(fleet) if device["id"] == own]
    assert {"skip-hydra", "drained-by=autoscale"} <= set(left["tags"])
    monkeypatch.setattr(hydra, "status", honest)
    hydra.jobs, hydra.runnable = {own: 1}, 5
    play(fleet, hydra)
    (left,) = [device for device in devices(fleet) if device["id"] == own]
    assert "skip-hydra" not in left["tags"], "needed again, its own drain is lifted"


@pytest.mark.long
def test_an_offer_that_cannot_be_bought_is_told_and_waited_for(fleet: Any, hydra: Hydra) -> None:
    hydra.runnable = 30
    fault = {"kind": "status", "status": 422, "path": "*/devices", "method": "POST", "count": None}
    fleet.lab.post("/faults", json=fault).raise_for_status()
    try:
        result = play(fleet, hydra)
    finally:
        fleet.lab.delete("/faults").raise_for_status()
    assert "small-c3-small-x86-am-50 could not be bought" in said(result)
    assert len(staying(fleet)) == 2
    again = play(fleet, hydra)
    assert "failed there lately" in said(again)
    assert len(staying(fleet)) == 2
