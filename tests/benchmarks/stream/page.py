# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/benchmarks.md: what was measured, beside what is aimed at, and the notes on what is not reached."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

NOTES = Path(__file__).with_name("notes.md")
Run = dict[str, Any]
Runs = dict[str, list[Run]]  # by contender
DEFAULT = ("rsync", "scp", "tar | ssh")
FAST = tuple(f"{name}, aes128-gcm" for name in DEFAULT)
HEAD = (
    "Contender",
    "Runs",
    "Seconds, median",
    "Least - most",
    "Times the stream",
    "MB on the wire",
    "CPU seconds",
    "Others",
)
BLOBS = 5  # files of the image

INTRODUCTION = """\
# Benchmarks of the stream

Written by `python tests/benchmarks/stream --page` from [`benchmarks/stream.jsonl`](benchmarks/stream.jsonl), to which
`make bench` adds. Build host and web host are network namespaces of one machine, with roots of their own, a bridge between them and a
line shaped by tc tbf where a rate is told. Contenders take turns within a portion. Time runs from the start of the processes on both
hosts to the end of both, with the data durable; CPU seconds are those of all processes of the hosts, kernel included. "Others" is what
the rest of the machine did meanwhile, in processors: with two processors, a run beside 1.0 had half of the machine. Of several
measurements of a portion the least disturbed one is shown.
"""

# Drawn by tests/benchmarks/charts.py.
CHARTS = """\
![Seconds for an image of 1.1 GB that the web host has nothing of: tar and nc, the stream, tar over SSH, scp, rsync and \
nix-copy-closure](pictures/stream-cold.svg)

![The same with 20 ms each way: the stream with four, eight and one connection, tar and nc, rsync](pictures/stream-delay.svg)

![Seconds for the next release, on five lines: the stream, rsync and nix-copy-closure](pictures/stream-next.svg)

The numbers stand [below](#all-numbers). Left out, because its bar would make dots of all others: the way of the original,
`ssh tar -z` through a third host (portion original-tmpfs).
"""


def by_portion(results: Iterable[dict[str, Any]]) -> tuple[dict[str, Runs], dict[str, dict[str, Any]]]:
    """Runs and facts of each portion: of several measurements of one, those that were least disturbed by other work."""
    chosen: dict[str, dict[str, Any]] = {}
    for result in results:
        known = chosen.get(result["portion"])
        if known is None or _disturbed(result["runs"]) < _disturbed(known["runs"]):
            chosen[result["portion"]] = result
    return {name: result["runs"] for name, result in chosen.items()}, {
        name: {**result["facts"], "measured": result["at"]} for name, result in chosen.items()
    }


def _disturbed(runs: Runs) -> float:
    return statistics.mean(run["others"] for measured in runs.values() for run in measured)


def middle(measured: list[Run], key: str) -> float:
    return statistics.median(run[key] for run in measured)


def tables(results: Iterable[dict[str, Any]]) -> str:
    """A table for each portion."""
    runs, facts = by_portion(results)
    return "\n".join(_table(portion, facts[portion], contenders) for portion, contenders in runs.items())


def _table(portion: str, facts: dict[str, Any], contenders: Runs) -> str:
    told = ", ".join(f"{key} {value}" for key, value in facts.items())
    own = middle(contenders["stream"], "seconds")
    rows = [f"### {portion}", "", f"{told}.", "", _row(HEAD), _row(["---"] * len(HEAD))]
    for name, measured in contenders.items():
        times = [run["seconds"] for run in measured]
        rows.append(
            _row([
                name.replace("|", "\\|"), len(measured), f"{middle(measured, 'seconds'):.2f}",
                f"{min(times):.2f} - {max(times):.2f}", f"{middle(measured, 'seconds') / own:.2f}",
                f"{middle(measured, 'wire') / 1e6:.2f}", f"{middle(measured, 'cpu'):.2f}",
                f"{middle(measured, 'others'):.2f}",
            ])
        )  # fmt: skip
    return "\n".join([*rows, ""])


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


@dataclasses.dataclass(frozen=True)
class Aim:
    """Something to reach in one portion."""

    words: str
    portion: str
    wanted: float
    measured: Callable[[Runs], float]
    at_most: bool = False

    def row(self, runs: dict[str, Runs]) -> str:
        sign = "at most" if self.at_most else "at least"
        wanted = f"{sign} {self.wanted:g}"
        try:
            found = self.measured(runs[self.portion])
        except KeyError:
            return _row([self.words, self.portion, wanted, "not measured", ""])
        reached = found <= self.wanted if self.at_most else found >= self.wanted
        return _row([self.words, self.portion, wanted, f"{found:.2f}", "yes" if reached else "no"])


def against(*names: str) -> Callable[[Runs], float]:
    """How many times the stream's time the fastest of these takes."""
    return lambda runs: min(middle(runs[name], "seconds") for name in names) / middle(runs["stream"], "seconds")


def of_stream(key: str, unit: float = 1.0) -> Callable[[Runs], float]:
    return lambda runs: middle(runs["stream"], key) / unit


def against_cold(runs: dict[str, Runs], facts: dict[str, dict[str, Any]], portion: str) -> Callable[[Runs], float]:
    """How many times the stream's time a stream takes that finds nothing, byte for byte: a cold one may be of fewer."""

    def measured(own: Runs) -> float:
        more = facts["next-100mbit"]["MB"] / facts[portion]["MB"]
        return more * middle(runs[portion]["stream"], "seconds") / middle(own["stream"], "seconds")

    return measured


def aims(facts: dict[str, dict[str, Any]], runs: dict[str, Runs]) -> list[Aim]:
    """What the collection is meant to reach."""
    found = [
        Aim("times as fast as the fastest of rsync, scp and tar over SSH", "cold-tmpfs", 2, against(*DEFAULT)),
        Aim("times as fast as the fastest of them with aes128-gcm", "cold-tmpfs", 1.5, against(*FAST)),
        Aim("times as fast as plain tar and nc", "cold-tmpfs", 1, against("tar | nc")),
        Aim(
            "times as fast as ssh tar -z through a third host", "original-tmpfs", 15, against("ssh tar -z | ssh tar -z")
        ),
    ]
    line = ("cold-1gbit", "cold-100mbit")
    found += [Aim("of what plain TCP carries", portion, 0.98, against("plain TCP")) for portion in line]
    following = ("next-tmpfs", "next-disk", "next-1gbit", "next-100mbit", "next-20ms")
    found += [Aim("times as fast as rsync", portion, 2, against("rsync")) for portion in following]
    found.append(
        Aim(
            "times as fast as a cold stream of as many bytes",
            "next-100mbit",
            10,
            against_cold(runs, facts, "cold-100mbit"),
        )
    )
    for portion in following:
        if portion in facts:
            changed = facts[portion]["MB changed"] * 1e6
            found.append(
                Aim("bytes on the wire per byte changed", portion, 1.2, of_stream("wire", changed), at_most=True)
            )
    for portion in ("same-tmpfs", "same-disk"):
        found.append(Aim("KB on the wire per blob", portion, 1, of_stream("wire", 1000 * BLOBS), at_most=True))
        found.append(Aim("seconds from the start of the processes", portion, 1, of_stream("seconds"), at_most=True))
    return found


def page(results: list[dict[str, Any]]) -> str:
    """The whole page."""
    runs, facts = by_portion(results)
    machines = sorted({result["machine"] for result in results})
    versions = sorted({f"{name}: {version}" for result in results for name, version in result["versions"].items()})
    days = sorted({result["at"].partition(" ")[0] for result in results})
    head = ("What", "Portion", "Aim", "Measured", "Reached")
    lines = [
        INTRODUCTION, CHARTS, "## Measured on", "", *(f"- {text}" for text in [*machines, *versions]), f"- {', '.join(days)}", "",
        "## Aims", "", _row(head), _row(["---"] * len(head)), *(aim.row(runs) for aim in aims(facts, runs)), "",
        NOTES.read_text(), "## All numbers", "", tables(results),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"
