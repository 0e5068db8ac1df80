# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of role fleet_autoscale: what the declaration says, what is decided, and the decision as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale import Readings
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale import autoscale_plan as decide
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_buying import known_prices
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_channels import (
    blocked_offers,
    with_images,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_order import autoscale_order as order
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import (
    Limits,
    Settings,
    read_classes,
    settings_problems,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_table import autoscale_lines
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_of
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import read_horizon
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Json = Mapping[str, Any]


def autoscale_problems(classes: Any, channels: Any, fleet: Any, ceiling: Any) -> list[str]:
    return settings_problems(classes, channels, fleet, ceiling)


def autoscale_plan(
    classes: Sequence[Json],
    hosts: Sequence[Json],
    readings: Json,
    limits: Json,
    now: str | None = None,
) -> dict[str, Any]:
    sizes, answers, offers = read_classes(classes), readings.get("channels", {}), readings.get("offers", {})
    builders = [facts_of(host) for host in hosts]
    taken = Readings(
        builders=builders,
        queue=readings["queue"],
        queue_reason=readings.get("queue_reason", ""),
        jobs=readings["jobs"],
        requests=readings["requests"],
        offers=offers,
        prices=known_prices(builders, offers, readings.get("prices", {})),
        blocked=blocked_offers(sizes, answers),
        state=_state(readings.get("state")),
        now=_moment(now),
        paused=readings.get("paused", []),
    )
    horizon = read_horizon(limits.get("horizon_seconds"))
    return decide(taken, Settings(Limits(**{**limits, "horizon_seconds": horizon}), with_images(sizes, answers)))


def autoscale_order(classes: Sequence[Json], creation: Json, channels: Sequence[Json]) -> dict[str, Any]:
    return order(read_classes(classes), creation, channels)


def autoscale_table(plan: Json, kept: bool = True) -> list[str]:
    return autoscale_lines(plan, kept)


def _state(kept: Any) -> Any:
    """What the last run left, also as the text of its file. What is not understood is as if it were lost."""
    if not isinstance(kept, str):
        return kept
    try:
        return json.loads(kept)
    except ValueError:
        return None


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FleetError(f"now is {text!r}, not a time") from error
    if moment.tzinfo is None:
        raise FleetError(f"now is {text!r}, a time without its zone")
    return moment


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        functions = (autoscale_problems, autoscale_plan, autoscale_order, autoscale_table)
        return {function.__name__: for_operators(function) for function in functions}
