# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the inventory beside the equinix.cloud collection's, on an emulated cloud with thousands of machines.

python tests/benchmarks/inventory [--runs N] [--sizes N,N] [--lists same|events] [--output FILE]
python tests/benchmarks/inventory --page

NIXMETAL_EQUINIX_CLOUD names a virtual environment that has ansible-core and equinix 0.5.0, and the collection equinix.cloud 0.12.0
below its directory collections. Without it, ours is measured alone.

The same lists: machines that are queued, of which neither plugin reads events. Then the machines run, and ours reads their events too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import page
import yaml

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
sys.path[:0] = [str(CHECKOUT / "tests" / name) for name in ("unit/lab", "benchmarks/stream")]
from account import machine, machine_seconds  # noqa: E402
from servers import Emulator, running  # noqa: E402

RESULTS = CHECKOUT / "docs" / "benchmarks" / "inventory.jsonl"
PAGE = CHECKOUT / "docs" / "inventory-speed.md"

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "lab-token"
PLAN = "c3.medium.x86"
STAY_QUEUED, RUN = 1e9, 0.0
PEER = os.environ.get("NIXMETAL_EQUINIX_CLOUD")


class Field:
    """A cloud of one size, and the two plugins' sources for it."""

    def __init__(self, root: Path, emulator: Emulator, size: int, *, queued: bool) -> None:
        self.root, self.api, self.service = root, f"{emulator.url}/metal/v1", emulator.process.pid
        self.lab = httpx.Client(base_url=f"{emulator.url}/lab", timeout=300)
        self.http = httpx.Client(base_url=self.api, headers={"X-Auth-Token": TOKEN}, timeout=300)
        self._fill(size, "queued" if queued else "active")
        ours = {"metal_api_url": self.api, "metal_auth_token": TOKEN, "project_id": PROJECT}
        cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(root / "cache")}
        self._write("ours/metal_builders.yml", {"plugin": "nixmetal.builders.metal_builders", **ours})
        self._write("cached/metal_builders.yml", {"plugin": "nixmetal.builders.metal_builders", **ours, **cache})
        peer = {"plugin": "equinix.cloud.metal_device", "metal_api_token": TOKEN, "project_ids": [PROJECT]}
        self._write("peer/peer.equinix.yml", peer)

    def _write(self, name: str, options: dict[str, Any]) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(options), encoding="utf-8")

    def _fill(self, size: int, state: str) -> None:
        """Each machine has a hostname of its own: the peer would else list a few."""
        for number, begin in enumerate(range(0, size, 1000)):
            parameters = {"plan": PLAN, "operating_system": "custom_ipxe", "ipxe_script_url": "http://x.test/n"}
            parameters |= {"hostname": f"b{number}-{{{{index}}}}", "tags": ["nixmetal-fleet=bench"]}
            count = min(1000, size - begin)
            bid = {"devices_min": count, "devices_max": count, "max_bid_price": 2, "metro": "am"}
            answer = self.http.post(
                f"/projects/{PROJECT}/spot-market-requests", json=bid | {"instance_parameters": parameters}
            )
            answer.raise_for_status()
        while self.lab.get("/health").json()["states"].get(state, 0) < size:
            time.sleep(1)

    def load(self, contender: str) -> dict[str, Any]:
        """One run, in a process of its own."""
        self.lab.delete("/calls").raise_for_status()
        python, source = sys.executable, self.root / "ours" / "metal_builders.yml"
        env = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")}
        if contender == "ours, cached":
            source = self.root / "cached" / "metal_builders.yml"
        if contender == "equinix.cloud":
            python, source = f"{PEER}/bin/python", self.root / "peer" / "peer.equinix.yml"
            env |= {"ANSIBLE_COLLECTIONS_PATH": f"{PEER}/collections", "NIXMETAL_PEER_API": self.api}
            env |= {"PYTHONPATH": str(CHECKOUT / "tests" / "unit" / "lab" / "peers")}
        begun, served, worked = time.monotonic(), seconds_of(self.service), machine_seconds()
        done = subprocess.run(
            [python, str(HERE / "load.py"), str(source)],
            capture_output=True,
            text=True,
            env=env,
            check=True,
            timeout=3600,
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        wall, served = time.monotonic() - begun, seconds_of(self.service) - served
        others = (machine_seconds() - worked - served - told.pop("whole_cpu_s")) / wall
        calls = self.lab.get("/calls").json()["counted"]
        return told | {"requests": calls, "service_cpu_s": round(served, 2), "others": round(max(0.0, others), 2)}


def seconds_of(process: int) -> float:
    """The CPU seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(size: int, runs: int, *, queued: bool) -> dict[str, Any]:
    """The contenders take turns, so that what disturbs one disturbs all."""
    contenders = ["ours", "ours, cached", *(["equinix.cloud"] if PEER else [])]
    pool = {"first": "10.0.0.10", "last": "10.0.255.254", "prefix_length": 16, "gateway": "10.0.0.1"}
    timing = {"tick": 1.0, "queued": STAY_QUEUED if queued else RUN, "boot": 0.1, "spot_fill": 0}
    plans = [{"slug": PLAN, "on_demand_price": 1.5, "spot_price": 0.45, "capacity": 100000}]
    found: dict[str, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    with tempfile.TemporaryDirectory() as root, running(Path(root), pool=pool, timing=timing, plans=plans) as emulator:
        field = Field(Path(root), emulator, size, queued=queued)
        field.load("ours, cached")
        for _run in range(runs):
            for contender in contenders:
                found[contender].append(field.load(contender))
                print(size, queued, contender, json.dumps(found[contender][-1]), file=sys.stderr, flush=True)
    lists = "the same lists" if queued else "with the events"
    return {"size": size, "lists": lists, "machine": machine(), "at": time.strftime("%F %T"), "runs": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", default="2000,10000")
    parser.add_argument("--lists", choices=["same", "events", "both"], default="both")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="file to which results are added, a line of JSON each"
    )
    parser.add_argument("--page", action="store_true", help="write docs/inventory-speed.md anew from all results")
    options = parser.parse_args()
    if options.page:
        PAGE.write_text(page.page(page.read(RESULTS)), encoding="utf-8")
        return
    if not PEER:
        print("NIXMETAL_EQUINIX_CLOUD is not set: equinix.cloud is not measured.", file=sys.stderr)
    for size in map(int, options.sizes.split(",")):
        for queued in (True, False):
            if options.lists == "both" or (options.lists == "same") is queued:
                result = measure(size, options.runs, queued=queued)
                print(page.table([result]), flush=True)
                with options.output.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
