# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws the charts of docs/benchmarks.md and docs/inventory-speed.md from the numbers that are kept in docs/benchmarks; measures nothing.

python tests/benchmarks/charts.py
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

CHECKOUT = Path(__file__).resolve().parents[2]
KEPT = CHECKOUT / "docs" / "benchmarks"
PICTURES = CHECKOUT / "docs" / "pictures"
# Narrow, so that its letters are no smaller than the text's on a telephone of 390 pixels.
WIDTH, MARGIN, LABELS, NUMBERS = 400, 10, 156, 52
LINE, BAR = 24, 14
OURS, OTHERS, DARK, GREY = "#2563eb", "#94a3b8", "#0f172a", "#334155"


class Bar(NamedTuple):
    label: str
    value: float
    ours: bool


class Group(NamedTuple):
    title: str
    bars: Sequence[Bar]


class Chart(NamedTuple):
    title: str
    unit: str
    groups: Sequence[Group]


def draw(chart: Chart) -> str:
    """The chart as SVG: a bar for each number, all from zero and on one scale, with the number beside it."""
    most = max(drawn.value for group in chart.groups for drawn in group.bars)
    body, y = [], 50
    for group in chart.groups:
        if group.title:
            body.append(f'  <text x="{MARGIN}" y="{y + 12}" class="group">{escape(group.title)}</text>')
            y += LINE
        for drawn in group.bars:
            body += _bar(drawn, y, most)
            y += LINE
        y += 6
    told = "; ".join(
        (f"{group.title}: " if group.title else "")
        + ", ".join(f"{drawn.label} {drawn.value:.2f}" for drawn in group.bars)
        for group in chart.groups
    )
    return "\n".join([*_head(chart, y + 4, told), *body, "</svg>", ""])


def _head(chart: Chart, height: int, told: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH * 4 // 3}" role="img" '
        'aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="13">'
    )
    yield f'  <title id="t">{escape(chart.title)}</title>'
    yield f'  <desc id="d">In {escape(chart.unit)}. {escape(told)}.</desc>'
    yield "  <style>"
    yield f"    .title, .group {{ font-weight: 600; fill: {DARK} }}"
    yield f"    .what {{ fill: {GREY} }} .ours {{ fill: {DARK} }} .number {{ fill: {DARK} }}"
    yield "  </style>"
    yield f'  <rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    yield f'  <text x="{MARGIN}" y="20" class="title" font-size="14">{escape(chart.title)}</text>'
    yield f'  <text x="{MARGIN}" y="37" class="what">{escape(chart.unit)}</text>'


def _bar(drawn: Bar, y: int, most: float) -> list[str]:
    room = WIDTH - 2 * MARGIN - LABELS - NUMBERS
    width = max(1.0, room * drawn.value / most)
    x = MARGIN + LABELS
    return [
        f'  <text x="{x - 8}" y="{y + 12}" text-anchor="end" class="{"ours" if drawn.ours else "what"}">{escape(drawn.label)}</text>',
        f'  <rect x="{x}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{OURS if drawn.ours else OTHERS}"/>',
        f'  <text x="{x + width + 6:.1f}" y="{y + 12}" class="number">{drawn.value:.2f}</text>',
    ]


def _module(folder: str) -> ModuleType:
    """The program that writes the page with these numbers, which knows which measurement counts."""
    name = f"{folder}_page_of_charts"
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "tests/benchmarks" / folder / "page.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


def _contenders(runs: dict[str, list[dict[str, Any]]], key: str, ours: str) -> list[Bar]:
    found = {name: statistics.median(run[key] for run in measured) for name, measured in runs.items()}
    return [Bar(name, value, name.startswith(ours)) for name, value in sorted(found.items(), key=lambda item: item[1])]


def charts() -> dict[str, Chart]:
    """Each chart by the name of its file."""
    stream, inventory = _module("stream"), _module("inventory")
    runs, _facts = stream.by_portion(inventory.read(KEPT / "stream.jsonl"))
    following = {
        "next-tmpfs": "no limit, memory",
        "next-disk": "no limit, disk",
        "next-1gbit": "1 Gbit/s",
        "next-20ms": "20 ms each way",
        "next-100mbit": "100 Mbit/s",
    }
    listed = [
        result for result in inventory.chosen(inventory.read(KEPT / "inventory.jsonl")) if "same" in result["lists"]
    ]
    return {
        "stream-cold": Chart(
            "An image of 1.1 GB for the first time",
            "seconds, median; two hosts on one machine",
            [Group("", _contenders(runs["cold-tmpfs"], "seconds", "stream"))],
        ),
        "stream-delay": Chart(
            "The same, 20 ms away each way",
            "seconds, one run each",
            [Group("", _contenders(runs["cold-20ms"], "seconds", "stream"))],
        ),
        "stream-next": Chart(
            "The next release: 54 MB of 1.1 GB changed",
            "seconds, median",
            [Group(words, _contenders(runs[name], "seconds", "stream")) for name, words in following.items()],
        ),
        "inventory": Chart(
            "An inventory of many machines",
            "CPU seconds of the plugin, median",
            [Group(f"{result['size']:,} machines", _contenders(result["runs"], "cpu_s", "ours")) for result in listed],
        ),
    }


def main() -> None:
    for name, chart in charts().items():
        (PICTURES / f"{name}.svg").write_text(draw(chart), encoding="utf-8")


if __name__ == "__main__":
    main()
