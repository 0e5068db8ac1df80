# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters between builder facts and the files that Nix and Hydra read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_of
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines import machines_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_hydra import parse_hydra_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_memory import (
    parse_memory,
    remembered,
    with_memory,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines_nix import parse_nix_machines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import read_horizon
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reading import reading_problems
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Hosts = Iterable[Mapping[str, Any]]
PARSERS: dict[str, Callable[[str], Iterable[Any]]] = {"nix": parse_nix_machines, "hydra": parse_hydra_machines}


def nix_machines_plan(
    hosts: Hosts,
    ssh_key: str,
    scheme: str = "",
    fractional_speed: bool = False,
    leaving: Mapping[str, str] | None = None,
    unread: Sequence[str] = (),
    memory: str = "",
    keep_seconds: float = 0,
    read_at: str = "",
    horizon_seconds: float | str | None = None,
) -> dict[str, Any]:
    now = datetime.now(UTC).timestamp()
    known = parse_memory(memory, keep_seconds, now)
    builders, kept = with_memory([facts_of(host) for host in hosts], unread, known)
    plan = machines_plan(builders, ssh_key, scheme, fractional_speed, leaving, now + read_horizon(horizon_seconds))
    staying = sorted(set(kept) & set(plan["included"]))
    return {
        **plan,
        "kept": staying,
        "memory": remembered(builders, plan["included"], staying, known, read_at),
        "newer_reading": known.newer_than(read_at),
    }


def nix_machines_parse(text: str, parser: str = "nix") -> list[dict[str, Any]]:
    if parser not in PARSERS:
        raise FleetError(f"parser {parser!r} is not one of {', '.join(PARSERS)}")
    rows = (row._asdict() for row in PARSERS[parser](text))
    return [
        {name: sorted(value) if isinstance(value, frozenset) else value for name, value in row.items()} for row in rows
    ]


def builders_reading_problems(
    reading: Mapping[str, Any] | None,
    hosts: int,
    max_age: float = 0,
    allowed_filters: Iterable[str] = (),
    allow_unread: bool = False,
) -> list[str]:
    return reading_problems(reading, hosts, max_age, datetime.now(UTC), allowed_filters, allow_unread)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "builders_reading_problems": for_operators(builders_reading_problems),
            "nix_machines_plan": for_operators(nix_machines_plan),
            "nix_machines_parse": for_operators(nix_machines_parse),
        }
