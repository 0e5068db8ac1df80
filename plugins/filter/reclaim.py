# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of role builder_reclaim: what notices mean for machines files and for the coordinator's memory, and what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import read_horizon
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reclaim_summary import reclaim_lines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reclaims import due, entries_of, reasons_of
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Json = Mapping[str, Any]


def builder_reclaim_due(notices: Iterable[Json], horizon_seconds: float | str | None = None) -> list[Json]:
    return due(notices, time.time() + read_horizon(horizon_seconds))


def builder_reclaim_reasons(notices: Iterable[Json]) -> dict[str, str]:
    return reasons_of(notices)


def builder_reclaim_entries(notices: Iterable[Json], hosts: Iterable[Json]) -> list[dict[str, str]]:
    return entries_of(notices, hosts, time.time())


def builder_reclaim_summary(leaving: Mapping[str, str], fleet: str, done: Json, check_mode: bool = False) -> list[str]:
    return reclaim_lines(leaving, fleet, done, check_mode)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        functions = (builder_reclaim_due, builder_reclaim_reasons, builder_reclaim_entries, builder_reclaim_summary)
        return {function.__name__: for_operators(function) for function in functions}
