# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the inventory beside the equinix.cloud collection's, on an emulated cloud with thousands of machines.

python tests/benchmarks/inventory [--runs N] [--sizes N,N] [--output FILE]

NIXMETAL_EQUINIX_CLOUD names a virtual environment that has ansible-core and equinix 0.5.0, and the collection equinix.cloud 0.12.0
below its directory collections. Without it, ours is measured alone.

The same lists: machines that are queued, of which neither plugin reads events. Then the machines run, and ours reads their events too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "lab"))
from servers import Emulator, running  # noqa: E402

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
TOKEN = "lab-token"
PLAN = "c3.medium.x86"
STAY_QUEUED, RUN = 1e9, 0.0
PEER = os.environ.get("NIXMETAL_EQUINIX_CLOUD")


class Field:
    """A cloud of one size, and the two plugins' sources for it."""

    def __init__(self, root: Path, emulator: Emulator, size: int, *, queued: bool) -> None:
        self.root, self.api = root, f"{emulator.url}/metal/v1"
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
        done = subprocess.run(
            [python, str(HERE / "load.py"), str(source)],
            capture_output=True,
            text=True,
            env=env,
            check=True,
            timeout=3600,
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told | {"requests": self.lab.get("/calls").json()["counted"]}


def measure(size: int, runs: int, *, queued: bool) -> dict[str, list[dict[str, Any]]]:
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
    return found


def table(size: int, found: dict[str, list[dict[str, Any]]], *, queued: bool) -> list[str]:
    """Rows in Markdown: medians, and how many times the CPU and wall time of ours the peer takes."""
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()
    }
    lists = "the same lists" if queued else "with the events"
    rows = []
    for name, numbers in middle.items():
        times = " | ".join(f"{numbers[key] / middle['ours'][key]:.1f} x" for key in ("cpu_s", "wall_s"))
        rows.append(
            f"| {size:,} | {lists} | {name} | {numbers['hosts']:,} | {numbers['cpu_s']:.2f} | {numbers['wall_s']:.2f} | "
            f"{numbers['requests']:,} | {numbers['memory_mb']:.0f} | {times} |"
        )
    return rows


HEAD = [
    "| machines | | plugin | hosts | CPU s | wall s | requests | memory MB | CPU | wall |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", default="2000,10000")
    parser.add_argument("--lists", choices=["same", "events", "both"], default="both")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if not PEER:
        print("NIXMETAL_EQUINIX_CLOUD is not set: equinix.cloud is not measured.", file=sys.stderr)
    rows = list(HEAD)
    for size in map(int, options.sizes.split(",")):
        for queued in (True, False):
            if options.lists == "both" or (options.lists == "same") is queued:
                rows += table(size, measure(size, options.runs, queued=queued), queued=queued)
    print("\n".join(rows))
    if options.output:
        options.output.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
