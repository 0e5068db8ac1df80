# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""launch_spot.yml from end to end, with a provider that the collection does not know: so the role names none itself."""

from __future__ import annotations

import concurrent.futures
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.lock import Wish, acquire, lock_place

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[3]
MARKET: dict[str, Any] = {
    "offers": [
        {
            "plan": "small",
            "metro": "da",
            "spot_price_usd_per_hour": 0.2,
            "on_demand_price_usd_per_hour": 1.5,
            "currency": "USD",
        }
    ],
    "unknown_plans": [],
    "unknown_metros": [],
    "kinds": ["spot"],
}
BID: dict[str, Any] = {
    "name": "first",
    "provider": "invented",
    "plan": "small",
    "metros": ["am", "da"],
    "count": 2,
    "max_bid_usd_per_hour": 0.35,
    "channel": "stable",
}


NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
IMAGE = {"schema": 1, "image_id": "0-image", "system": "x86_64-linux"}


class Web(http.server.ThreadingHTTPServer):
    """A web host with what its channels boot, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.files: dict[str, Any] = {"/stable/manifest.json": IMAGE}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the files as JSON."""

    server: Web

    def do_GET(self) -> None:
        found = self.server.files.get(self.path)
        body = json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


class Launch:
    """A copy of the collection with the invented provider in it, and what its playbook does."""

    def __init__(self, root: Path, web: Web) -> None:
        self.root = root
        self.web = web
        self.collection = root / "ansible_collections" / "nixmetal" / "builders"
        for folder in (
            "docs/contracts",
            "meta",
            "nix/plans",
            "playbooks",
            "plugins",
            "roles/builders_reading",
            "roles/fleet_lock",
            "roles/fleet_notify",
            "roles/provider_call",
            "roles/spot_fleet",
        ):
            shutil.copytree(CHECKOUT / folder, self.collection / folder)
        shutil.copy(CHECKOUT / "galaxy.yml", self.collection)
        shutil.copytree(HERE / "invented", self.collection / "roles" / "invented")
        shutil.rmtree(self.collection / "roles" / "builder_drain", ignore_errors=True)
        shutil.copytree(HERE / "drains", self.collection / "roles" / "builder_drain")
        self.requests = root / "requests.json"
        self.calls = root / "calls"
        self.requests.write_text("[]", encoding="utf-8")

    def inventory(self) -> Path:
        """Somebody else's host, and the machines that the requests have."""
        live = json.loads(self.requests.read_text(encoding="utf-8"))
        machines = sorted(device for request in live for device in request["device_ids"])
        reading = {"complete": True, "source": "test", "project": None, "count": len(machines), "read_at": NOW}
        builders = {"hosts": {machine: {"ansible_connection": "local"} for machine in machines}}
        groups = {"hosts": {"elsewhere": {}}, "vars": {"builders_reading": reading}, "children": {"builders": builders}}
        path = Path(tempfile.mkdtemp(dir=self.root)) / "inventory.json"
        path.write_text(json.dumps({"all": groups}), encoding="utf-8")
        return path

    def lines(self, name: str) -> list[str]:
        path = self.root / name
        return sorted(path.read_text(encoding="utf-8").splitlines()) if path.exists() else []

    def run(self, *arguments: str, playbook: str = "launch_spot", **changes: Any) -> subprocess.CompletedProcess[str]:
        variables = {
            "spot_fleet_name": "ci",
            "fleet_lock_host": "localhost",
            "fleet_lock_path": str(self.root / "locks"),
            "spot_fleet_ceiling_usd_per_hour": 1,
            "spot_fleet_bids": [BID],
            "netboot_channels": [{"name": "stable", "base_url": self.web.url}],
            "invented_directory": str(self.root),
            "invented_market": MARKET,
            **changes,
        }
        extra = Path(tempfile.mkdtemp(dir=self.root)) / "variables.json"
        extra.write_text(json.dumps(variables), encoding="utf-8")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.inventory()), "-e", f"@{extra}"]
        path = str(self.collection / "playbooks" / f"{playbook}.yml")
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.root),
            "ANSIBLE_LOCAL_TEMP": str(self.root / "tmp"),
        }
        return subprocess.run(
            [*command, path, *arguments], capture_output=True, text=True, env=environment, timeout=120, check=False
        )


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def launch(tmp_path: Path, web: Web) -> Launch:
    return Launch(tmp_path, web)


def changed(result: subprocess.CompletedProcess[str]) -> int:
    found = re.search(r"localhost\s+: ok=\d+\s+changed=(\d+)", result.stdout)
    assert found, result.stdout + result.stderr
    return int(found.group(1))


def message(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join((result.stdout + result.stderr).replace("''", "'").split())


def test_limit_that_leaves_out_the_controller_fails(launch: Launch) -> None:
    result = launch.run("--limit", "elsewhere")
    assert result.returncode != 0
    assert "--limit elsewhere leaves out localhost" in message(result)
    assert not launch.calls.exists()


def test_check_then_launch_then_nothing_to_do(launch: Launch) -> None:
    shown = launch.run("--check", "--diff")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "first: create a request for 2 small in da" in shown.stdout
    assert "At most 0.70 USD per hour, 511.00 USD per month of 730 hours; ceiling 1.00" in message(shown)
    assert changed(shown) == 1
    assert launch.requests.read_text(encoding="utf-8") == "[]"
    table = shown.stdout.partition("Show what may be bought")[2].partition("TASK")[0].splitlines()[2:]
    assert max(map(len, table)) <= 80

    done = launch.run()
    assert changed(done) == 1
    assert "first: request request-first in da, 0 of 2 machines" in done.stdout
    (request,) = json.loads(launch.requests.read_text(encoding="utf-8"))
    assert (request["metro"], request["count"]) == ("da", 2)

    again = launch.run()
    assert changed(again) == 0
    assert "first: keep request request-first in da" in again.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spot_fleet_ceiling_usd_per_hour": 0.69}, "the bids may cost 0.70 USD per hour, more than"),
        (
            {"spot_fleet_bids": [{**BID, "max_bid_usd_per_hour": 0}]},
            "bid 'first': max_bid_usd_per_hour must be at least 0.01",
        ),
        ({"spot_fleet_bids": [{**BID, "provider": "nobody"}]}, "bid 'first': provider 'nobody' is not a provider role"),
        ({"fleet_lock_host": ""}, "set fleet_lock_host to the one host on which all runs are to hold it"),
    ],
)
def test_wrong_declaration_asks_nobody(launch: Launch, changes: dict[str, Any], words: str) -> None:
    told = launch.root / "told"
    result = launch.run(**changes, fleet_notify_command=["sh", "-c", f"cat > {told}"])
    assert result.returncode != 0
    assert words in message(result)
    assert not launch.calls.exists()
    if "fleet_lock_host" not in changes:
        event = json.loads(told.read_text(encoding="utf-8"))
        assert event["event"] == ("ceiling" if "spot_fleet_ceiling_usd_per_hour" in changes else "failure")
        assert words.partition(":")[0] in event["text"]
    # A run that failed has given the lock back.
    assert not (launch.root / "locks" / "ci.lock").exists()


@pytest.mark.parametrize(
    ("market", "words"),
    [
        ({**MARKET, "unknown_metros": ["am"]}, "bid 'first': metro 'am' is not known to invented"),
        ({**MARKET, "offers": []}, "bid 'first': none of its metros (am, da) offers the plan small"),
        (
            {"offers": [], "unknown_metros": [], "kinds": ["spot"]},
            "answered offers with something else than its contract says: unknown_plans is missing",
        ),
    ],
)
def test_what_cannot_be_bought_requests_nothing(launch: Launch, market: dict[str, Any], words: str) -> None:
    result = launch.run(invented_market=market)
    assert result.returncode != 0
    assert words in message(result)
    assert launch.calls.exists()
    assert launch.requests.read_text(encoding="utf-8") == "[]"


def test_an_image_for_other_machines_buys_nothing(launch: Launch) -> None:
    launch.web.files["/stable/manifest.json"] = {**IMAGE, "plans": ["c3.medium.x86"]}
    for arguments in (["--check"], []):
        result = launch.run(*arguments)
        assert result.returncode != 0
        assert "channel 'stable' boots 0-image, which is for c3.medium.x86, not for small" in message(result)
        # The table is shown all the same.
        assert "first: create a request for 2 small in da" in result.stdout
        assert launch.requests.read_text(encoding="utf-8") == "[]"


@pytest.mark.long
def test_a_live_request_asks_no_web_host(launch: Launch) -> None:
    assert launch.run().returncode == 0
    launch.web.files.clear()
    again = launch.run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert changed(again) == 0


def test_the_look_can_be_switched_off(launch: Launch) -> None:
    launch.web.files.clear()
    assert launch.run(spot_fleet_check_channels=False).returncode == 0


@pytest.mark.parametrize(
    ("image", "words"),
    [(None, "channel 'stable' has no release"), ([], "it is not known what channel 'stable' boots")],
)
def test_an_unknown_image_buys_nothing_and_the_cost_is_still_shown(launch: Launch, image: Any, words: str) -> None:
    launch.web.files["/stable/manifest.json"] = image
    result = launch.run()
    assert result.returncode != 0
    assert f"bid 'first': {words}" in message(result)
    assert launch.requests.read_text(encoding="utf-8") == "[]"
    shown = launch.run("--check")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "At most 0.70 USD per hour" in message(shown)


def hold(launch: Launch) -> str:
    """The lock of a run that was killed."""
    taken = acquire(lock_place(str(launch.root / "locks"), "ci"), Wish("alice@elsewhere", "rollout"))
    return str(taken.claim["lock_id"])


def test_a_launch_beside_another_run_asks_nobody_until_that_lock_is_broken_on_purpose(launch: Launch) -> None:
    lock_id = hold(launch)
    refused = launch.run(fleet_lock_resume=True)
    assert refused.returncode != 0
    assert f"the fleet ci is taken, after waiting 0 s: lock {lock_id} of alice@elsewhere" in message(refused)
    assert not launch.calls.exists()

    shown = launch.run("--check")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"is taken by lock {lock_id} of alice@elsewhere for rollout" in message(shown)

    wrong = launch.run(playbook="break_fleet_lock", fleet_lock_break_id="00000000", fleet_lock_break_reason="killed")
    assert wrong.returncode != 0
    assert "nothing was broken" in message(wrong)
    broken = launch.run(playbook="break_fleet_lock", fleet_lock_break_id=lock_id, fleet_lock_break_reason="killed")
    assert changed(broken) == 1
    assert f"Broke the lock {lock_id} of alice@elsewhere, taken for rollout" in message(broken)
    assert changed(launch.run()) == 1


OLD: dict[str, Any] = {
    "id": "r-old",
    "name": "old",
    "plan": "small",
    "metro": "da",
    "max_bid_usd_per_hour": 0.1,
    "count": 2,
    "device_ids": ["m1", "m2"],
    "ours": True,
}


def test_a_plan_is_written_down_and_exactly_that_is_applied(launch: Launch) -> None:
    kept = launch.root / "plan.json"
    launch.requests.write_text(
        json.dumps([OLD, {**OLD, "id": "r-stranger", "name": None, "ours": False, "device_ids": []}])
    )
    settings = {"spot_fleet_end_undeclared": True}
    planned = launch.run(spot_fleet_plan_out=str(kept), spot_fleet_fail_on_changes=True, **settings)
    assert planned.returncode == 2
    assert "old: end request r-old (no bid declares it), its machines drained first: m1, m2" in message(planned)
    assert "foreign requests, never touched: r-stranger" in message(planned)
    document = json.loads(kept.read_text(encoding="utf-8"))
    assert document["changes"] is True
    assert [end["request_id"] for end in document["ends"]] == ["r-old"]
    assert launch.lines("ended") == []

    # Reality has moved: another count of the request that would end.
    launch.requests.write_text(json.dumps([{**OLD, "device_ids": ["m1"]}]))
    moved = launch.run(spot_fleet_plan_in=str(kept), **settings)
    assert moved.returncode != 0
    assert 'ends r-old device_ids: planned ["m1", "m2"], now ["m1"]' in message(moved)
    assert launch.lines("ended") == launch.lines("drained") == []

    launch.requests.write_text(json.dumps([OLD]))
    applied = launch.run(spot_fleet_plan_in=str(kept), **settings)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert launch.lines("drained") == ["m1", "m2"]
    (ended,) = launch.lines("ended")
    assert json.loads(ended) == {
        "fleet": "ci",
        "name": "old",
        "request_id": "r-old",
        "terminate_machines": True,
        "wait": True,
        "wait_timeout": 1800,
    }
    assert [request["id"] for request in json.loads(launch.requests.read_text(encoding="utf-8"))] == ["request-first"]

    nothing = launch.run(spot_fleet_plan_out=str(kept), spot_fleet_fail_on_changes=True, **settings)
    assert nothing.returncode == 0, nothing.stdout + nothing.stderr
    assert "Nothing to do." in nothing.stdout
    assert json.loads(kept.read_text(encoding="utf-8"))["changes"] is False
    assert not (launch.root / "locks" / "ci.lock").exists()


@pytest.mark.long
def test_a_machine_that_does_not_drain_keeps_its_request_and_nothing_is_bought(launch: Launch) -> None:
    changed_bid = {**BID, "count": 1}
    launch.requests.write_text(json.dumps([{**OLD, "id": "request-first", "name": "first"}]))
    busy = launch.run(spot_fleet_bids=[changed_bid], spot_fleet_change="replace", drains_busy=["m1"])
    assert busy.returncode != 0
    assert "Not proved idle: m1" in message(busy)
    assert launch.lines("ended") == []
    assert not (launch.root / "locks" / "ci.lock").exists()
    done = launch.run(spot_fleet_bids=[changed_bid], spot_fleet_change="replace")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(launch.lines("ended")) == 1
    (request,) = json.loads(launch.requests.read_text(encoding="utf-8"))
    assert (request["id"], request["count"]) == ("request-first", 1)


def test_a_request_that_gets_a_machine_while_it_drains_is_not_ended(launch: Launch) -> None:
    """The new machine may build, and nobody has drained it."""
    launch.requests.write_text(json.dumps([OLD]))
    meanwhile = [{**OLD, "device_ids": ["m1", "m3"]}]
    stopped = launch.run(spot_fleet_end_undeclared=True, drains_meanwhile=meanwhile)
    assert stopped.returncode != 0
    assert "The request r-old (old) got new machines while it drained: m3." in message(stopped)
    assert launch.lines("ended") == []
    assert json.loads(launch.requests.read_text(encoding="utf-8")) == meanwhile
    again = launch.run(spot_fleet_end_undeclared=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert launch.lines("drained") == ["m1", "m2", "m3"]
    assert len(launch.lines("ended")) == 1


def test_what_is_not_confirmed_is_not_bought(launch: Launch) -> None:
    result = launch.run(spot_fleet_confirm=True)
    assert result.returncode != 0
    assert "the answer was not yes" in message(result)
    assert launch.requests.read_text(encoding="utf-8") == "[]"


def test_of_two_launches_at_once_one_buys_and_the_other_finds_it_bought(launch: Launch) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _number: launch.run(fleet_lock_wait_seconds=100), range(2)))
    assert sorted(changed(run) for run in runs) == [0, 1]
    assert len(json.loads(launch.requests.read_text(encoding="utf-8"))) == 1
