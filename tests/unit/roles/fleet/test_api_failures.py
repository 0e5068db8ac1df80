# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever way the API fails: each playbook that writes, drains, deletes or buys stops with the reason, and changes nothing.

Every playbook with every failure is marked long; without it each playbook meets one failure, and each failure one playbook.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = (
    "machines",
    "prune",
    "launch_spot",
    "drain",
    "restore",
    "terminate",
    "rollout",
    "autoscale",
    "verify_builders",
    "reclaim",
    "status",
    "prices",
)
EMPTY_LIST = '{"devices": [], "spot_market_requests": [], "plans": [], "metros": []}'
# How the API fails, and the words that must tell of it.
FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"kind": "status", "status": 500}, "answered 500"),
    "429": ({"kind": "status", "status": 429, "retry_after": "1"}, r"answered 429.*Too many calls"),
    "garbage": ({"kind": "garbage"}, "not whole JSON"),
    "reset": ({"kind": "reset"}, r"gave no answer|could not be reached"),
    "timeout": ({"kind": "slow", "delay_seconds": 4}, r"timed out|[Tt]imeout"),
    "empty": ({"kind": "status", "status": 200, "body": ""}, "answered with nothing"),
    "a list without its end": ({"kind": "status", "status": 200, "body": EMPTY_LIST}, "answered without"),
    "truncated": ({"kind": "truncate"}, r"gave no answer|not whole JSON"),
    "forbidden": ({"kind": "status", "status": 403}, "may not do this"),
    "html": ({"kind": "html", "status": 502}, "answered 502"),
}
ALL = [pytest.param(*pair, marks=pytest.mark.long) for pair in itertools.product(PLAYBOOKS, FAILURES)]
MOST = max(len(PLAYBOOKS), len(FAILURES))
SOME = list(itertools.islice(zip(itertools.cycle(PLAYBOOKS), itertools.cycle(FAILURES), strict=False), MOST))


@pytest.fixture(scope="module")
def laden(fleet: Any) -> Any:
    """Two machines, one of them draining, yesterday's machines file, a cache that has just expired, and a web host."""
    hosts = fleet.hosts()
    hosts["all"]["children"]["netboot_hosts"] = {"hosts": {"web": {"ansible_connection": "local"}}}
    fleet.write("hosts.yml", hosts)
    url = str(fleet.api.base_url).partition("/metal")[0]
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(fleet.root / "cache")}
    kept = {"known_hosts_file": str(fleet.root / "kept" / "known_hosts")}
    source = fleet.plugin(url, **cache, **kept, cache_timeout=1, metal_api_timeout=1)
    fleet.write("metal_builders.yml", source)
    bought = fleet.play("launch_spot", spot_fleet_wait=True)
    assert bought.returncode == 0, bought.stdout + bought.stderr
    written = fleet.play("machines")
    assert written.returncode == 0, written.stdout + written.stderr
    first = fleet.lab.get("/machines").json()["machines"][0]
    fleet.api.put(f"/devices/{first['id']}", json={"tags": [*first["tags"], "skip-hydra"]}).raise_for_status()
    fleet.first = first["id"]
    time.sleep(1.1)  # the cached reading is too old then, and the API is asked
    return fleet


def kept(fleet: Any) -> dict[str, Any]:
    """All that a failure must not touch, in the files and in the cloud."""
    files = [
        fleet.machines,
        fleet.root / "known_hosts",
        *(fleet.root / "cache").iterdir(),
        *(fleet.root / "kept").iterdir(),
    ]
    machines = fleet.lab.get("/machines").json()["machines"]
    return {
        "files": {str(path): path.read_bytes() for path in files},
        "machines": {machine["id"]: (machine["state"], machine["tags"]) for machine in machines},
        "requests": fleet.lab.get("/health").json()["spot_market_requests"],
        "locks": sorted(str(path) for path in (fleet.root / "locks").rglob("*.json")),
    }


@pytest.fixture
def lasting(laden: Any) -> Iterator[Any]:
    """The same, and the operator allows the last complete reading to be listed when the API fails."""
    source = laden.inventory / "metal_builders.yml"
    before = source.read_text(encoding="utf-8")
    stale = laden.root / "kept" / "stale.json"
    laden.write("metal_builders.yml", {**yaml.safe_load(before), "stale_cache_file": str(stale)})
    listing = [sys.executable, "-m", "ansible", "inventory", "-i", str(laden.inventory), "--list"]
    subprocess.run([*listing, "--flush-cache"], check=True, capture_output=True)
    assert stale.exists()
    time.sleep(1.1)  # the cached reading is too old then, and the API is asked
    yield laden
    source.write_text(before, encoding="utf-8")
    stale.unlink()


def said(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize(("playbook", "failure"), [*SOME, *ALL])
def test_a_failing_api_changes_nothing(
    laden: Any, monkeypatch: pytest.MonkeyPatch, playbook: str, failure: str
) -> None:
    rule, words = FAILURES[failure]
    # For the modules, which launch_spot asks first; the inventory has its own.
    monkeypatch.setenv("METAL_API_TIMEOUT", "1")
    monkeypatch.setenv("METAL_API_TRIES", "1")
    before = kept(laden)
    laden.lab.delete("/calls").raise_for_status()
    laden.lab.post("/faults", json={**rule, "path": "*", "count": None}).raise_for_status()
    limit = ["--limit", f"{laden.first},localhost"] if playbook in ("drain", "restore", "terminate") else []
    try:
        result = laden.play(playbook, *limit)
    finally:
        laden.lab.delete("/faults").raise_for_status()
    assert result.returncode != 0, said(result)
    assert re.search(words, said(result)), said(result)
    assert "Traceback" not in said(result)
    calls = laden.lab.get("/calls").json()["calls"]
    assert calls, "the API was not asked"
    assert {call["method"] for call in calls} == {"GET"}
    assert kept(laden) == before


STALE = [
    pytest.param(name, marks=pytest.mark.long) if name not in ("machines", "drain") else name for name in PLAYBOOKS
]


@pytest.mark.parametrize("playbook", STALE)
def test_a_stale_reading_is_listed_and_acted_upon_by_nobody(lasting: Any, playbook: str) -> None:
    """Machines are listed, and named by their limit; still nothing is done to them that the API would have to confirm."""
    before = kept(lasting)
    lasting.lab.delete("/calls").raise_for_status()
    lasting.lab.post("/faults", json={"kind": "status", "status": 500, "path": "*", "count": None}).raise_for_status()
    limit = ["--limit", f"{lasting.first},localhost"] if playbook in ("drain", "restore", "terminate") else []
    try:
        result = lasting.play(playbook, *limit)
    finally:
        lasting.lab.delete("/faults").raise_for_status()
    assert result.returncode != 0, said(result)
    assert "so this is the reading of" in said(result), said(result)
    assert "builders_reading" in said(result), said(result)
    assert {call["method"] for call in lasting.lab.get("/calls").json()["calls"]} == {"GET"}
    assert kept(lasting) == before


MORE = {"name": "more", "provider": "equinix_metal", "plan": "c3.small.x86", "metros": ["am"], "count": 1}
# What they need to get as far as their first change.
WRITERS: dict[str, dict[str, Any]] = {
    "launch_spot": {"spot_fleet_bids": [{**MORE, "max_bid_usd_per_hour": 0.1, "channel": "stable"}]},
    "drain": {"builder_drain_tag": "other-tag"},
    "restore": {"builder_drain_force": True},
    "terminate": {"builder_drain_force": True},
}


@pytest.mark.parametrize(
    "playbook", ["drain", *(pytest.param(name, marks=pytest.mark.long) for name in WRITERS if name != "drain")]
)
def test_what_cannot_be_written_is_told_and_nothing_goes_on(laden: Any, playbook: str) -> None:
    """The machines are read well, and every call that would change something fails."""
    before = kept(laden)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        rule = {"kind": "status", "status": 500, "path": "*", "method": method, "count": None}
        laden.lab.post("/faults", json=rule).raise_for_status()
    laden.lab.delete("/calls").raise_for_status()
    limit = ["--limit", f"{laden.first},localhost,coordinator"] if playbook != "launch_spot" else []
    try:
        result = laden.play(playbook, *limit, **WRITERS[playbook])
    finally:
        laden.lab.delete("/faults").raise_for_status()
    assert result.returncode != 0, said(result)
    assert "answered 500" in said(result), said(result)
    assert "Traceback" not in said(result)
    assert {call["method"] for call in laden.lab.get("/calls").json()["calls"]} > {"GET"}
    after = kept(laden)
    assert after["files"][str(laden.machines)] == before["files"][str(laden.machines)]
    assert {name: after[name] for name in ("machines", "requests", "locks")} == {
        name: before[name] for name in ("machines", "requests", "locks")
    }


def test_every_playbook_that_needs_the_machines_is_tried() -> None:
    """A playbook that is new meets the failures as well."""
    root = Path(__file__).resolve().parents[4] / "playbooks"
    asking = {
        path.stem for path in root.glob("*.yml")
        if "builders_reading" in json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
    }  # fmt: skip
    assert asking <= set(PLAYBOOKS)
