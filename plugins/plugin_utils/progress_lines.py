# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that tell how far a long transfer is."""

from __future__ import annotations

from typing import Any

UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """A number of bytes for human eyes, in powers of ten as on a network's label."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {UNITS[unit]}"


def duration(seconds: float) -> str:
    """A time for human eyes."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def line(route: str, progress: dict[str, float]) -> str:
    """How far a transfer is: bytes, rate and time left."""
    done, total = progress["bytes_done"], progress["bytes_total"]
    rate = progress["bytes_sent"] / progress["seconds"] if progress["seconds"] > 0 else 0.0
    if not total:
        return f"{route}: looking at what is there"
    text = f"{route}: {size(done)} of {size(total)} ({100 * done / total:.0f} %)"
    if not rate:
        return text
    if done >= total:
        return f"{text}, {size(rate)}/s, writing the last of it to the disk"
    return f"{text}, {size(rate)}/s, {duration((total - done) / rate)} left"


def build_line(what: str, progress: dict[str, Any]) -> str:
    """How far a build is: derivations, copies, bytes, and what it is at."""
    if not progress:
        return f"{what}: evaluating"
    parts = []
    if progress["to_build"]:
        parts.append(f"{progress['built']} of {progress['to_build']} built")
    if progress["to_copy"]:
        parts.append(f"{progress['copied']} of {progress['to_copy']} copied")
    if progress["bytes_total"]:
        parts.append(f"{size(progress['bytes_done'])} of {size(progress['bytes_total'])}")
    names, more = progress["names"], progress["running"] - len(progress["names"])
    if names:
        verb = "waiting for another build: " if progress["waiting"] else ""
        parts.append(verb + ", ".join(names) + (f" and {more} more" if more > 0 else ""))
    return f"{what}: {', '.join(parts) or 'looking at what is there'} ({duration(progress['seconds'])})"
