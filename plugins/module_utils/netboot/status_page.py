# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status page: plain HTML and SVG without a script. It stands in ROOT/status/, and all of its links are relative."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8885; --bar: #3b82c4; --new: #e08a1e; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 0 1rem 3rem; }
h2 { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 1.5rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
code { font-size: .9em; } .table, svg { margin: 1rem 0; } .table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; } td:last-child { overflow-wrap: anywhere; } .active { font-weight: 600; }
svg { width: 100%; height: auto; max-width: 40rem; } svg text { font: 11px sans-serif; fill: currentColor; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; } }
"""
SHOWN_RELEASES = 10
SHOWN_STEPS = 20
ROW, WIDTH, LABEL = 22, 600, 90
UNITS = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


def render_page(document: Mapping[str, Any]) -> str:
    """The whole page."""
    channels = document["channels"]
    blobs = document["blobs"]
    sections = "".join(map(_channel, channels)) or "<p>No channel has a release yet.</p>\n"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Netboot channels</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Netboot channels</h1>\n"
        f"<p>{len(channels)} channels, {blobs['count']} blobs of {size(blobs['bytes'])}. "
        'The same as <a href="status.json">JSON</a>.</p>\n'
        f"{sections}</body>\n</html>\n"
    )


def size(count: int) -> str:
    """Bytes for people, in powers of a thousand."""
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _channel(told: Mapping[str, Any]) -> str:
    name = told["channel"]
    active = next((release for release in told["releases"] if release["release_id"] == told["release_id"]), None)
    facts = [
        ("boots", _boots(told)),
        ("image", _code(told["image_id"])),
        ("release", _code(told["release_id"])),
        ("since", f"{_text(told['activated_at'])} by {_text(told['activated_by'])}"),
    ]
    if active and not active["damaged"]:
        facts.append(("size", size(active["bytes"])))
        facts.append(("signed", "yes, iPXE verifies it" if active["signed"] else "no"))
        facts.append(("kernel command line", _code(active["command_line"])))
    facts.append(("changed with it", _changes(told["changes"])))
    listed = "".join(f"<dt>{label}</dt><dd>{value}</dd>\n" for label, value in facts)
    return (
        f'<section id="{_text(name)}">\n<h2>{_text(name)}</h2>\n<dl>\n{listed}</dl>\n'
        f"{_files(active)}{_chart(told)}{_releases(told)}{_history(told)}</section>\n"
    )


def _boots(told: Mapping[str, Any]) -> str:
    if told["problem"]:
        return f"<strong>nothing: {_text(told['problem'])}</strong>"
    return f'<a href="../{_text(told["channel"])}/netboot.ipxe">{_text(told["url"])}</a>' if told["url"] else "nothing"


def _changes(changes: Mapping[str, Any] | None) -> str:
    if changes is None:
        return "nothing to compare it with"
    files = [(f"{kind} ", _text, changes[f"files_{kind}"]) for kind in ("added", "removed", "changed")]
    words = [(f"parameters {kind}: ", _code, changes[f"kernel_params_{kind}"]) for kind in ("added", "removed")]
    told = [kind + ", ".join(map(form, names)) for kind, form, names in (*files, *words) if names]
    return "; ".join([f"{size(changes['bytes_added'])} of new blobs", *told])


def _files(release: Mapping[str, Any] | None) -> str:
    if not release or not release["files"]:
        return ""
    rows = [
        f'<tr><td>{_text(file["name"])}</td><td>{_text(file["role"])}</td><td class="number">{size(file["size"])}</td>'
        f'<td><a href="../blobs/sha256/{file["sha256"]}"><code>{file["sha256"][:16]}</code></a></td></tr>\n'
        for file in release["files"]
    ]
    return _table(("file", "role", "size", "SHA-256"), rows)


def _releases(told: Mapping[str, Any]) -> str:
    rows = []
    for release in told["releases"][:SHOWN_RELEASES]:
        path = f"../releases/{_text(told['channel'])}/{release['release_id']}/manifest.json"
        mark = ' class="active"' if release["release_id"] == told["release_id"] else ""
        image = "damaged" if release["damaged"] else _text(release["image_id"])
        rows.append(
            f'<tr{mark}><td><a href="{path}"><code>{release["release_id"][:12]}</code></a></td><td>{image}</td></tr>\n'
        )
    more = len(told["releases"]) - SHOWN_RELEASES
    return _table(("release in the store", "image"), rows) + (f"<p>and {more} older ones</p>\n" if more > 0 else "")


def _history(told: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td>{_text(step.get('at'))}</td><td>{_text(step.get('action'))}</td><td>{_text(step.get('by'))}</td>"
        f"<td><code>{_text(str(step.get('release_id'))[:12])}</code></td></tr>\n"
        for step in reversed(told["history"][-SHOWN_STEPS:])
    ]
    return _table(("when", "what", "who", "release"), rows)


def _chart(told: Mapping[str, Any]) -> str:
    """The sizes of the releases, newest first."""
    shown = [release for release in told["releases"][:SHOWN_RELEASES] if not release["damaged"]]
    if len(shown) < 2:
        return ""
    largest = max(release["bytes"] for release in shown)
    bars = "".join(_bar(number, release, largest, told["release_id"]) for number, release in enumerate(shown))
    return (
        f'<svg viewBox="0 0 {WIDTH} {ROW * len(shown)}" role="img" aria-label="Sizes of the releases, newest first">'
        f"<title>Sizes of the releases, newest first</title>{bars}</svg>\n"
    )


def _bar(number: int, release: Mapping[str, Any], largest: int, active: str) -> str:
    top = number * ROW
    length = (WIDTH - 2 * LABEL) * release["bytes"] / largest
    colour = "--new" if release["release_id"] == active else "--bar"
    return (
        f'<text x="0" y="{top + 15}">{release["release_id"][:12]}</text>'
        f'<rect x="{LABEL}" y="{top + 4}" width="{length:.1f}" height="{ROW - 8}" style="fill: var({colour})"/>'
        f'<text x="{LABEL + length + 6:.1f}" y="{top + 15}">{size(release["bytes"])}</text>'
    )


def _table(names: Iterable[str], rows: list[str]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th class="number">{name}</th>' if name == "size" else f"<th>{name}</th>" for name in names)
    return f'<div class="table"><table>\n<tr>{head}</tr>\n{"".join(rows)}</table></div>\n'


def _text(value: object) -> str:
    return "unknown" if value is None else html.escape(str(value))


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>"
