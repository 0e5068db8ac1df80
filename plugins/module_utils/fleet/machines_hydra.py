# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a machines file by the rules of the legacy Hydra queue runner (C++, until March 2026), which differ from Nix's."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError


class HydraMachine(NamedTuple):
    """A row as the legacy Hydra understands it; mandatory features count as supported."""

    ssh_name: str
    systems: frozenset[str]
    ssh_key: str
    max_jobs: int
    speed_factor: float
    supported_features: frozenset[str]
    mandatory_features: frozenset[str]
    host_key: str


def parse_hydra_machines(text: str) -> list[HydraMachine]:
    """All machines of the text. Rows of fewer than three words are passed over; `-` is no number and no system."""
    rows = (line.split("#", 1)[0].split() for line in text.split("\n"))
    return [_machine(tokens) for tokens in rows if len(tokens) >= 3]


def _machine(tokens: list[str]) -> HydraMachine:
    field = [*tokens, *[""] * 8][:8]
    mandatory = _features(field[6])
    return HydraMachine(
        ssh_name=field[0],
        systems=_words(field[1]),
        ssh_key="" if field[2] == "-" else field[2],
        max_jobs=_jobs(field),
        speed_factor=_speed(field),
        supported_features=_features(field[5]) | mandatory,
        mandatory_features=mandatory,
        host_key=_host_key(field),
    )


def _words(column: str) -> frozenset[str]:
    return frozenset(word for word in column.split(",") if word)


def _features(column: str) -> frozenset[str]:
    return frozenset() if column == "-" else _words(column)


def _jobs(field: list[str]) -> int:
    if not field[3]:
        return 1
    if not re.fullmatch(r"[0-9]+", field[3]):
        raise FleetError(f"legacy Hydra: column 4 of {field[0]} is {field[3]!r}, not a number")
    return int(field[3])


def _speed(field: list[str]) -> float:
    if not field[4]:
        return 1.0
    found = re.match(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", field[4])
    if not found:
        raise FleetError(f"legacy Hydra: column 5 of {field[0]} is {field[4]!r}, not a number")
    return float(found.group())


def _host_key(field: list[str]) -> str:
    if field[7] in ("", "-"):
        return ""
    try:
        return base64.b64decode(field[7], validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise FleetError(f"legacy Hydra: column 8 of {field[0]} is not base64") from error
