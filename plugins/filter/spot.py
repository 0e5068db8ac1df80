# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of role spot_fleet: what the declaration says, what it costs, what would be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import bids_problems, expanded
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.channel_images import (
    channel_image_problems,
    manifest_urls,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.pauses import (
    PauseRule,
    find_pauses,
    parse_reclaims,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.plan_file import (
    differences,
    has_changes,
    parse_document,
    plan_document,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_bid_plan import Options
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_plan import spot_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.spot_table import plan_lines, summary_lines
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Json = Mapping[str, Any]


def spot_fleet_problems(bids: Any, channels: Any, fleet: Any, ceiling: Any) -> list[str]:
    return bids_problems(bids, channels, fleet, ceiling)


def spot_fleet_expanded(bids: Sequence[Json]) -> list[dict[str, Any]]:
    return expanded(bids)


def spot_fleet_plan(
    bids: Sequence[Json], providers: Json, channels: Sequence[Json], ceiling: Any, options: Json | None = None
) -> dict[str, Any]:
    told = dict(options or {})
    told["pauses"] = tuple(told.get("pauses", ()))
    told["leaving"] = frozenset(told.get("leaving", ()))
    return spot_plan(bids, providers, channels, ceiling, Options(**told))


def spot_fleet_pauses(reclaims: str, rule: Json) -> list[dict[str, Any]]:
    checked = PauseRule(int(rule["reclaims"]), float(rule["within_seconds"]), float(rule["pause_seconds"]))
    return [pause._asdict() for pause in find_pauses(parse_reclaims(reclaims), checked, time.time())]


def spot_fleet_document(plan: Json, fleet: str) -> dict[str, Any]:
    return plan_document(plan, fleet)


def spot_fleet_moved(plan: Json, fleet: str, document: str) -> list[str]:
    return differences(parse_document(document), plan_document(plan, fleet))


def spot_fleet_has_changes(plan: Json) -> bool:
    return has_changes(plan)


def spot_fleet_table(plan: Json) -> list[str]:
    return plan_lines(plan)


def spot_fleet_summary(plan: Json, results: Sequence[Json], check_mode: bool = False) -> list[str]:
    return summary_lines(plan, results, check_mode)


def spot_fleet_manifest_urls(bids: Sequence[Json], channels: Sequence[Json]) -> dict[str, str]:
    return manifest_urls(bids, channels)


def spot_fleet_image_problems(bids: Sequence[Json], answers: Mapping[str, Json], foretold: bool = False) -> list[str]:
    return channel_image_problems(bids, answers, foretold)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        functions = (
            spot_fleet_problems,
            spot_fleet_expanded,
            spot_fleet_plan,
            spot_fleet_pauses,
            spot_fleet_document,
            spot_fleet_moved,
            spot_fleet_has_changes,
            spot_fleet_table,
            spot_fleet_summary,
            spot_fleet_manifest_urls,
            spot_fleet_image_problems,
        )
        return {function.__name__: for_operators(function) for function in functions}
