# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of rollouts: which image each machine is to boot, and what it needs next."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import rollout, rollout_step, rollout_summary
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_of
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import read_horizon
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators

Hosts = Iterable[Mapping[str, Any]]
Json = Mapping[str, Any]


def builder_rollout_images(channels: Sequence[Json], images: Mapping[str, str]) -> dict[str, str]:
    """The expected image by the address of the script that machines boot."""
    urls = {
        str(channel["name"]): f"{str(channel['base_url']).rstrip('/')}/{channel['name']}/netboot.ipxe"
        for channel in channels
    }
    unknown = sorted(set(images) - set(urls))
    if unknown:
        raise FleetError(f"netboot_channels names no {', '.join(unknown)}")
    return {urls[name]: image for name, image in images.items()}


def builder_rollout_step(
    hosts: Hosts, ids: Sequence[str], settings: Json, memory: Json, proofs: Json, now: float | None = None
) -> dict[str, Any]:
    """The next step as a dictionary; the memory is handed to the next call."""
    given = rollout_step.Proofs(
        frozenset(proofs.get("idle", ())),
        frozenset(proofs.get("busy", ())),
        proofs.get("boots", {}),
        proofs.get("verified", {}),
        frozenset(proofs.get("sent", ())),
        proofs.get("refused", {}),
    )
    kept = {name: dict(told) for name, told in memory.items()}
    builders = [facts_of(host) for host in hosts]
    step = rollout.next_step(builders, list(ids), _settings(settings), kept, given, time.time() if now is None else now)
    return {**dataclasses.asdict(step), "under_way": step.under_way, "finished": step.finished}


def builder_rollout_summary(step: Json, images: Mapping[str, str], fleet: str, now: float | None = None) -> list[str]:
    return rollout_summary.rollout_lines(step, images, fleet, time.time() if now is None else now)


def _settings(given: Json) -> rollout_step.RolloutSettings:
    names = {field.name for field in dataclasses.fields(rollout_step.RolloutSettings)}
    unknown = sorted(set(given) - names)
    if unknown:
        raise FleetError(f"a rollout has no setting {', '.join(unknown)}")
    horizon = read_horizon(given.get("horizon_seconds"))
    return rollout_step.checked(rollout_step.RolloutSettings(**{**given, "horizon_seconds": horizon}))


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "builder_rollout_images": for_operators(builder_rollout_images),
            "builder_rollout_step": for_operators(builder_rollout_step),
            "builder_rollout_summary": for_operators(builder_rollout_summary),
        }
