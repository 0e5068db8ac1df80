# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the stream beside what a user would run instead, interleaved, between hosts of a lab. Needs root, 12 GB of memory.

python tests/benchmarks/stream [--lab NAME] [--runs N] [--output FILE] [PORTION...]
python tests/benchmarks/stream --report FILE...
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from account import machine
from courses import Field, Portion
from hosts import Hosts, measured_lab

WHOLE = (
    "stream", "tar | nc", "tar | openssl", "rsync", "rsync, aes128-gcm", "scp", "scp, aes128-gcm", "tar | ssh",
    "tar | ssh, aes128-gcm", "nix-copy-closure",
)  # fmt: skip
LINE = ("stream", "plain TCP", "tar | nc", "rsync", "scp", "tar | ssh")
DELTA = ("stream", "rsync", "nix-copy-closure")
PORTIONS = {
    "cold-tmpfs": Portion("cold", "tmpfs", WHOLE),
    "cold-disk": Portion("cold", "disk", WHOLE),
    "original-tmpfs": Portion("cold", "tmpfs", ("stream", "ssh tar -z | ssh tar -z"), runs=3),
    "cold-1gbit": Portion("cold", "tmpfs", LINE, rate="1gbit", runs=3),
    "cold-100mbit": Portion("cold", "tmpfs", LINE, rate="100mbit", megabytes=110, runs=3),
    "cold-20ms": Portion("cold", "tmpfs", LINE, delay=20.0),
    "next-tmpfs": Portion("next", "tmpfs", DELTA),
    "next-disk": Portion("next", "disk", DELTA),
    "next-1gbit": Portion("next", "tmpfs", DELTA, rate="1gbit"),
    "next-100mbit": Portion("next", "tmpfs", DELTA, rate="100mbit", runs=3),
    "next-20ms": Portion("next", "tmpfs", DELTA, delay=20.0),
    "same-tmpfs": Portion("same", "tmpfs", DELTA),
    "same-disk": Portion("same", "disk", DELTA),
}


def measure(hosts: Hosts, name: str, runs: int) -> dict[str, Any]:
    """One portion: its contenders take turns, so that what disturbs one disturbs all."""
    portion = PORTIONS[name]
    field = Field(hosts, portion)
    field.prepare()
    found: dict[str, list[dict[str, Any]]] = {contender: [] for contender in portion.contenders}
    with hosts.shaped(portion.rate), hosts.delayed(portion.delay) as address:
        for _number in range(runs or portion.runs):
            for contender in portion.contenders:
                run = field.run(contender, address)
                found[contender].append(run)
                print(f"{name:16} {contender:26} {json.dumps(run)}", file=sys.stderr, flush=True)
    return {
        "portion": name, "facts": field.facts, "machine": machine(), "versions": hosts.versions(),
        "at": time.strftime("%F %T"), "runs": found,
    }  # fmt: skip


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The middle of every number."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def report(results: Iterable[dict[str, Any]]) -> str:
    """Tables in Markdown; a portion that was measured twice has the runs of both."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for result in results:
        facts[result["portion"]] = result["facts"]
        for contender, measured in result["runs"].items():
            runs.setdefault(result["portion"], {}).setdefault(contender, []).extend(measured)
    return "\n".join(_table(portion, facts[portion], contenders) for portion, contenders in runs.items())


def _table(portion: str, facts: dict[str, Any], contenders: dict[str, list[dict[str, Any]]]) -> str:
    told = ", ".join(f"{key} {value}" for key, value in facts.items())
    head = ["", "seconds (median)", "least - most", "times the stream", "MB on the wire", "CPU seconds, both hosts"]
    rows = [f"**{portion}**: {told}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    own = medians(contenders["stream"])["seconds"]
    for name, measured in contenders.items():
        middle, times = medians(measured), [run["seconds"] for run in measured]
        rows.append(
            f"| {name} ({len(measured)} runs) | {middle['seconds']:.2f} | {min(times):.2f} - {max(times):.2f} "
            f"| {middle['seconds'] / own:.2f} | {middle['wire'] / 1e6:.2f} | {middle['cpu']:.2f} |"
        )
    return "\n".join([*rows, ""])


def main() -> None:
    """Measure, or tell what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portions", nargs="*", default=list(PORTIONS), metavar="PORTION", help=", ".join(PORTIONS))
    parser.add_argument("--lab", default="", help="name of a lab that stays, to measure in portions")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file to which results are added, a line of JSON each")
    parser.add_argument("--report", nargs="+", type=Path, default=[], help="print tables of such files")
    options = parser.parse_args()
    if options.report:
        print(report(json.loads(line) for path in options.report for line in path.read_text().splitlines()))
        return
    unknown = set(options.portions) - set(PORTIONS)
    if unknown:
        parser.error(f"no such portion: {', '.join(sorted(unknown))}")
    results = []
    with measured_lab(options.lab) as hosts:
        for name in options.portions:
            results.append(measure(hosts, name, options.runs))
            if options.output:
                with options.output.open("a") as stream:
                    stream.write(json.dumps(results[-1]) + "\n")
    print(report(results))


if __name__ == "__main__":
    main()
