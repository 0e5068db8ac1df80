# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of roles fleet_overview, fleet_status and fleet_metrics: a fleet at a glance, in a terminal and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_of
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.overview import overview
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.overview_metrics import (
    metrics_text,
    scrape_targets,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.overview_table import overview_lines, price_lines
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Json = Mapping[str, Any]


def fleet_overview(hosts: Sequence[Json], readings: Json, fleet: str, ceiling: Any = None) -> dict[str, Any]:
    return overview([facts_of(host) for host in hosts], readings, fleet, ceiling, datetime.now(UTC))


def fleet_status_table(found: Json) -> list[str]:
    return overview_lines(found)


def fleet_price_table(prices: Sequence[Json]) -> list[str]:
    return price_lines(prices)


def fleet_metrics_text(found: Json) -> str:
    return metrics_text(found)


def fleet_scrape_targets(hosts: Sequence[Json], port: int, opt_out_tag: str, fleet: str) -> list[dict[str, Any]]:
    machines = [{**facts_of(host), "builder_role": host.get("builder_role")} for host in hosts]
    return scrape_targets(machines, port, opt_out_tag, fleet)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        functions = (fleet_overview, fleet_status_table, fleet_price_table, fleet_metrics_text, fleet_scrape_targets)
        return {function.__name__: for_operators(function) for function in functions}
