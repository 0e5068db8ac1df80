# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet at a glance in a terminal of 80 columns, whole ids included, because commands want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils import text_lines

MACHINE = (("machine", -36), ("plan", -15), ("age", 5), ("jobs", 4), ("USD/h", 6))
PRICE = (("plan", -20), ("metro", -8), ("spot USD/h", 12), ("on demand", 12))

Json = Mapping[str, Any]


def overview_lines(found: Json) -> list[str]:
    """Two lines for each machine, the second only where there is more to say; then requests and totals."""
    lines = _table(MACHINE, [(_machine(row), _more(row)) for row in found["machines"]])
    for request in found["requests"]:
        lines += text_lines.wrapped(_request(request))
    return lines + _totals(found)


def price_lines(prices: Sequence[Json]) -> list[str]:
    """What plans cost where."""
    rows = [
        (
            [
                row["plan"],
                row["metro"],
                _usd(row["spot_price_usd_per_hour"]),
                _usd(row["on_demand_price_usd_per_hour"]),
            ],
            "",
        )
        for row in prices
    ]
    return _table(PRICE, rows)


def duration(seconds: float | None) -> str:
    """Five columns at most: 59s, 59m, 23h59, 99d."""
    if seconds is None:
        return "?"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days >= 2:
        return f"{days}d"
    if hours:
        return f"{hours}h{minutes % 60:02}"
    return f"{minutes}m" if minutes else f"{int(seconds)}s"


def _machine(row: Json) -> list[str]:
    jobs = "?" if row["jobs"] is None else str(row["jobs"])
    return [row["id"], row["plan"] or "?", duration(row["age_seconds"]), jobs, _usd(row["usd_per_hour"])]


def _more(row: Json) -> str:
    """What is not as it usually is, and what it runs."""
    parts = [row["problem"]] if row["problem"] else []
    if row["termination_time"]:
        parts.append(f"{'RECLAIMED' if row['reclaimed'] else 'ends'} at {row['termination_time']}")
    if row["state"] != "active" or row["coming_up"]:
        parts.append(f"state {row['state']}{', not heard of yet' if row['state'] == 'active' else ''}")
    if row["coming_up"] is None:
        parts.append("what it says of itself could not be read")
    if row["drained_by"]:
        parts.append(f"drained by {', '.join(row['drained_by'])}")
    parts.append(f"image {(row['image_id'] or '?')[:8]}")
    parts += [part for part in (row["bought_by"], row["location"] or "") if part]
    if row["jobs"] is None and row["jobs_reason"]:
        parts.append(row["jobs_reason"])
    return ", ".join(parts)


def _request(request: Json) -> str:
    if not request["ours"]:
        return f"request {request['id']}: of somebody else"
    most = request["count"] * request["max_bid_usd_per_hour"]
    name = request["name"] or "no longer declared"
    return f"request {request['id']} ({name}): {request['machines']} of {request['count']} machines, at most {most:.2f} USD per hour"


def _totals(found: Json) -> list[str]:
    known = [row["usd_per_hour"] for row in found["machines"] if row["usd_per_hour"] is not None]
    words = f"{sum(known):.2f} USD per hour now" + (
        "" if len(known) == len(found["machines"]) else " and what is not known"
    )
    most = "not known" if found["usd_per_hour_at_most"] is None else f"{found['usd_per_hour_at_most']:.2f}"
    ceiling = "none" if found["ceiling_usd_per_hour"] is None else f"{found['ceiling_usd_per_hour']:.2f}"
    lines = text_lines.wrapped(
        f"{len(found['machines'])} machines of {found['fleet']}: {words}, at most {most}, ceiling {ceiling}"
    )
    if found["foreign"]:
        lines += text_lines.wrapped(f"{found['foreign']} machines of other fleets, or of none")
    return lines + text_lines.wrapped(f"read at {found['read_at']}")


def _table(columns: text_lines.Columns, rows: Sequence[tuple[Sequence[str], str]]) -> list[str]:
    lines = text_lines.head(columns)
    for cells, more in rows:
        lines += [text_lines.row(cells, columns), *text_lines.wrapped(more, "  ")]
    return lines


def _usd(price: float | None) -> str:
    return "?" if price is None else f"{price:.2f}"
