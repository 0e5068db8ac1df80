# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the stream beside what a user would run instead, interleaved, between hosts of a lab. Needs root, 12 GB of memory.

python tests/benchmarks/stream [--lab NAME] [--runs N] [--output FILE] [PORTION...]
python tests/benchmarks/stream --report FILE...
python tests/benchmarks/stream --page
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from account import machine
from courses import Field, Portion
from hosts import Hosts, measured_lab
from page import page, tables

WHOLE = (
    "stream", "tar | nc", "tar | openssl", "rsync", "rsync, aes128-gcm", "scp", "scp, aes128-gcm", "tar | ssh",
    "tar | ssh, aes128-gcm", "nix-copy-closure",
)  # fmt: skip
LINE = ("stream", "plain TCP", "tar | nc", "rsync")
FAR = ("stream", "stream, 1 connection", "stream, 8 connections", "tar | nc", "rsync")
DURABLE = ("stream", "tar | nc", "rsync", "scp", "tar | ssh")
DELTA = ("stream", "rsync", "nix-copy-closure")
PORTIONS = {
    "cold-tmpfs": Portion("cold", "tmpfs", WHOLE),
    "original-tmpfs": Portion("cold", "tmpfs", ("stream", "ssh tar -z | ssh tar -z"), runs=1),
    "next-tmpfs": Portion("next", "tmpfs", DELTA),
    "same-tmpfs": Portion("same", "tmpfs", DELTA),
    "cold-1gbit": Portion("cold", "tmpfs", LINE, rate="1gbit", runs=3),
    "cold-100mbit": Portion("cold", "tmpfs", LINE, rate="100mbit", megabytes=220, runs=3),
    "cold-20ms": Portion("cold", "tmpfs", FAR, delay=20.0, runs=3),
    "cold-disk": Portion("cold", "disk", DURABLE, runs=3),
    "next-1gbit": Portion("next", "tmpfs", DELTA, rate="1gbit", runs=3),
    "next-100mbit": Portion("next", "tmpfs", DELTA, rate="100mbit", runs=3),
    "next-20ms": Portion("next", "tmpfs", DELTA, delay=20.0, runs=3),
    "next-disk": Portion("next", "disk", DELTA, runs=3),
    "same-disk": Portion("same", "disk", DELTA, runs=3),
}
RESULTS = Path(__file__).resolve().parents[3] / "docs/benchmarks/stream.jsonl"


def measure(hosts: Hosts, name: str, runs: int) -> dict[str, Any]:
    """One portion: its contenders take turns, so that what disturbs one disturbs all."""
    portion = PORTIONS[name]
    field = Field(hosts, portion)
    field.prepare()
    found: dict[str, list[dict[str, Any]]] = {contender: [] for contender in portion.contenders}
    for _number in range(runs or portion.runs):
        for contender in portion.contenders:
            field.reset(contender)
            with hosts.shaped(portion.rate), hosts.delayed(portion.delay) as address:
                run = field.run(contender, address)
            found[contender].append(run)
            print(f"{name:16} {contender:26} {json.dumps(run)}", file=sys.stderr, flush=True)
    return {
        "portion": name, "facts": field.facts, "machine": machine(), "versions": hosts.versions(),
        "at": time.strftime("%F %T"), "runs": found,
    }  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    """What was measured before."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Measure, or tell what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portions", nargs="*", default=list(PORTIONS), metavar="PORTION", help=", ".join(PORTIONS))
    parser.add_argument("--lab", default="", help="name of a lab that stays, to measure in portions")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="file to which results are added, a line of JSON each"
    )
    parser.add_argument(
        "--page", action="store_true", help="write docs/benchmarks.md anew from all results that are kept"
    )
    parser.add_argument("--report", nargs="+", type=Path, default=[], help="print tables of such files")
    options = parser.parse_args()
    if options.report:
        print(tables(result for path in options.report for result in read(path)))
        return
    if options.page:
        RESULTS.parent.with_suffix(".md").write_text(page(read(RESULTS)))
        return
    unknown = set(options.portions) - set(PORTIONS)
    if unknown:
        parser.error(f"no such portion: {', '.join(sorted(unknown))}")
    options.output.parent.mkdir(exist_ok=True)
    with measured_lab(options.lab) as hosts:
        for name in options.portions:
            result = measure(hosts, name, options.runs)
            print(tables([result]), flush=True)
            with options.output.open("a") as stream:
                stream.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
