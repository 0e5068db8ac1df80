# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Simulated runs as an SVG picture: what waits, how many machines there are and what they cost, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from fleet_simulator import Report

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 860, 150, 64, 16, 56, 34
COLOURS = ("#0b62a8", "#b3480b", "#3d7a1f", "#7a3d8f")
PANELS = (("steps waiting", 1), ("machines", 2), ("USD per hour", 3))
HOUR = 3_600


def chart(reports: Mapping[str, Report], title: str) -> str:
    """The picture, readable on a light and on a dark page."""
    height = TOP + len(PANELS) * (HEIGHT + GAP)
    seconds = max(report.series[-1][0] for report in reports.values()) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" fill="#1a1a1a">{escape(title)}</text>',
        *_legend(list(reports)),
    ]
    for index, (name, column) in enumerate(PANELS):
        parts += _panel(name, column, TOP + index * (HEIGHT + GAP), reports, seconds)
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        x = LEFT + index * 190
        parts.append(f'<rect x="{x}" y="29" width="18" height="3" fill="{COLOURS[index % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 24}" y="35" fill="#1a1a1a">{escape(name)}</text>')
    return parts


def _panel(name: str, column: int, top: int, reports: Mapping[str, Report], seconds: float) -> list[str]:
    most = max((row[column] for report in reports.values() for row in report.series), default=0) or 1
    inner = WIDTH - LEFT - RIGHT
    bottom = top + HEIGHT
    parts = [
        f'<text x="{LEFT}" y="{top + 8}" fill="#1a1a1a">{name}</text>',
        f'<text x="{LEFT - 6}" y="{top + 20}" text-anchor="end" fill="#4a4a4a">{most:.4g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end" fill="#4a4a4a">0</text>',
        f'<path d="M{LEFT} {top + 16}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="#8a8a8a"/>',
    ]
    for hour in range(0, int(seconds / HOUR) + 1, max(1, round(seconds / HOUR / 8))):
        x = LEFT + inner * hour * HOUR / seconds
        parts.append(f'<text x="{x:.0f}" y="{bottom + 14}" text-anchor="middle" fill="#4a4a4a">{hour} h</text>')
    for index, report in enumerate(reports.values()):
        points = _points(report, column, seconds, most, inner, top + 16, bottom)
        parts.append(f'<path d="{points}" fill="none" stroke="{COLOURS[index % len(COLOURS)]}" stroke-width="1.5"/>')
    return parts


def _points(report: Report, column: int, seconds: float, most: float, inner: int, top: int, bottom: int) -> str:
    """At most one point for each pixel, the highest of its time, so that a short peak is not lost."""
    highest: dict[int, float] = {}
    for row in report.series:
        x = LEFT + round(inner * row[0] / seconds)
        highest[x] = max(row[column], highest.get(x, 0))
    return "M" + "L".join(f"{x} {bottom - (bottom - top) * value / most:.1f}" for x, value in sorted(highest.items()))
