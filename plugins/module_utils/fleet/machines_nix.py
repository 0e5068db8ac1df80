# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a machines file by the rules of Nix (src/libstore/machines.cc), so that a file is proved before it is installed."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError

Reader = Callable[[str], Optional[str]]
UNSIGNED_MAX = 2**32 - 1


class Machine(NamedTuple):
    """A row as Nix understands it."""

    store_uri: str
    systems: frozenset[str]
    ssh_key: str
    max_jobs: int
    speed_factor: float
    features: frozenset[str]
    mandatory_features: frozenset[str]
    host_key: str


def parse_nix_machines(text: str, local_system: str = "", include: Reader | None = None) -> list[Machine]:
    """All machines of the text; any bad row fails the whole file, as in Nix. A missing included file is passed over."""
    return [_machine(line, local_system) for line in _lines(text, include)]


def _lines(text: str, include: Reader | None, depth: int = 0) -> Iterator[str]:
    if depth > 16:
        raise FleetError("the machines file includes itself")
    for part in re.split(r"[\n;]", text):
        line = part.split("#", 1)[0].strip(" \t\r")
        if line.startswith("@"):
            inner = include(line[1:].strip()) if include else None
            yield from _lines(inner or "", include, depth + 1)
        elif line:
            yield line


def _machine(line: str, local_system: str) -> Machine:
    tokens = line.split()
    field = [tokens[index] if index < len(tokens) and tokens[index] != "-" else "" for index in range(8)]
    if not field[0]:
        raise FleetError(f"no store address in column 1 of the row {line!r}")
    return Machine(
        store_uri=_store_uri(field[0]),
        systems=_words(field[1]) or frozenset({local_system} if local_system else ()),
        ssh_key=field[2],
        max_jobs=_jobs(field[3], line),
        speed_factor=_speed(field[4], line),
        features=_words(field[5]),
        mandatory_features=_words(field[6]),
        host_key=_host_key(field[7], line),
    )


def _store_uri(column: str) -> str:
    known = (
        "://" in column
        or column in ("auto", "daemon", "local")
        or column.startswith(("auto?", "daemon?", "local?", "/"))
    )
    return column if known else f"ssh://{column}"


def _words(column: str) -> frozenset[str]:
    return frozenset(word for word in column.split(",") if word)


def _jobs(column: str, line: str) -> int:
    if not column:
        return 1
    if not re.fullmatch(r"[0-9]+", column) or int(column) > UNSIGNED_MAX:
        raise FleetError(f"column 4 of the row {line!r} is not a number of jobs")
    return int(column)


def _speed(column: str, line: str) -> float:
    if not column:
        return 1.0
    try:
        speed = float(column)
    except ValueError as error:
        raise FleetError(f"column 5 of the row {line!r} is not a speed factor") from error
    if math.isnan(speed) or speed < 0:
        raise FleetError(f"column 5 of the row {line!r} is negative or not a number")
    return speed or 1.0


def _host_key(column: str, line: str) -> str:
    try:
        return base64.b64decode(column, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise FleetError(f"column 8 of the row {line!r} is not the base64 of a public key") from error
