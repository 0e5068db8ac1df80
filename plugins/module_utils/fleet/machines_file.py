# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of a Nix machines file, in the form that Nix and the legacy Hydra read alike.

Always eight columns, the first five explicit: the legacy Hydra fails on `-` for jobs and speed and takes `-` for systems
literally. A bare login@address suits both: Nix puts ssh:// before it, Hydra takes it as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError

SEPARATORS = set(" \t\r\n;#@,")


class MachineRow(NamedTuple):
    """One builder as the machines file says it; an empty tuple of features is written as `-`."""

    user: str
    address: str
    systems: tuple[str, ...]
    ssh_key: str
    max_jobs: int
    speed_factor: float
    features: tuple[str, ...]
    mandatory_features: tuple[str, ...]
    host_key: str
    scheme: str = ""

    @property
    def name(self) -> str:
        """Column 1: what Nix connects to and what Hydra calls the machine in its status and metrics."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return (f"{self.scheme}://" if self.scheme else "") + f"{self.user}@{address}"


def render_row(row: MachineRow) -> str:
    """The row as one line without its newline."""
    for word in (row.user, row.address, *row.systems, *row.features, *row.mandatory_features):
        _check_word(word)
    if not row.systems or row.max_jobs < 1 or row.speed_factor <= 0:
        raise FleetError(f"{row.name}: a row needs at least one system, one job and a positive speed")
    check_ssh_key(row.ssh_key)
    return " ".join(
        (
            row.name,
            ",".join(sorted(row.systems)),
            row.ssh_key,
            str(row.max_jobs),
            number(row.speed_factor),
            ",".join(sorted(row.features)) or "-",
            ",".join(sorted(row.mandatory_features)) or "-",
            encoded_key(row.host_key),
        )
    )


def render_file(rows: Sequence[MachineRow]) -> str:
    """The whole file: sorted rows, nothing else (a comment would be one more thing for three parsers to agree on)."""
    return "".join(f"{line}\n" for line in sorted(render_row(row) for row in rows))


def check_ssh_key(path: str) -> None:
    """Refuses a path that cannot stand in column 3."""
    if not path.startswith("/") or set(path) & (SEPARATORS - {"@", ","}):
        raise FleetError(f"the SSH key {path!r} must be an absolute path without spaces")


def encoded_key(host_key: str) -> str:
    """Column 8: the public host key without its comment, in base64."""
    words = host_key.split()
    if len(words) < 2 or "\n" in host_key.strip():
        raise FleetError(f"not a public SSH host key: {host_key[:60]!r}")
    return base64.b64encode(" ".join(words[:2]).encode()).decode()


def number(value: float) -> str:
    """A plain decimal number: 1, 1.5; never 1e-05, which not every reader takes."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    if text == "0":
        raise FleetError(f"the speed factor {value} is too small: both parsers would read 0")
    return text


def _check_word(word: str) -> None:
    if not word or word == "-" or set(word) & SEPARATORS or not (word.isascii() and word.isprintable()):
        raise FleetError(f"{word!r} cannot stand in a machines file")
