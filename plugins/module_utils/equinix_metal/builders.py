# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory plugin does that Ansible has no part in: readings that a cache can keep, and host variables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, facts, reading
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings

# Raised when what is cached changes its form, so that an older cache is not misread.
CACHE_FORM = 3

_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclasses.dataclass(frozen=True)
class Scope:
    """Which machines of a project are meant."""

    fleet: str | None = None
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reading:
    """The machines as they were at a moment."""

    read_at: str
    complete: bool
    problems: list[str]
    machines: list[dict[str, Any]]

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def fingerprint(settings: Settings, scope: Scope) -> str:
    """What a cached reading depends on, in few characters: another project's or fleet's is another reading."""
    words = [CACHE_FORM, settings.url, settings.project_id, scope.fleet, sorted(scope.tags)]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def take(client: Client, scope: Scope, workers: int) -> Reading:
    """Read the machines from the API."""
    return Reading(**reading.read(client, scope.fleet, scope.tags, workers))


def from_cache(data: Mapping[str, Any]) -> Reading:
    """A reading as the cache kept it, with the time at which it was taken."""
    return Reading(data["read_at"], data["complete"], list(data["problems"]), list(data["machines"]))


def announcement(taken: Reading, source: str, project: str) -> dict[str, Any]:
    """The variable builders_reading of a complete reading."""
    return {
        "complete": True,
        "source": source,
        "project": project,
        "count": len(taken.machines),
        "read_at": taken.read_at,
    }


def host_variables(machine: Mapping[str, Any], choices: facts.Choices) -> dict[str, Any]:
    """Builder facts and what Ansible itself connects by."""
    variables = facts.builder_facts(
        machine["device"], Evidence(**machine["evidence"]), choices, machine.get("request_id")
    )
    variables["ansible_user"] = variables["builder_admin_user"]
    variables["ansible_port"] = variables["builder_port"]
    if variables["builder_address"] is not None:
        variables["ansible_host"] = variables["builder_address"]
    return variables


def use_address(variables: dict[str, Any], address: str) -> None:
    """Put a name in the place of the address, but none that SSH would take for an option, or a file for several words."""
    if devices.ip_address(address) is None and not _HOST_NAME.fullmatch(address):
        raise SettingError(f"address_name gives no name of a host for {variables['builder_id']}: {address!r}.")
    variables["builder_address"] = variables["ansible_host"] = address
    variables["builder_known_hosts_line"] = facts.known_hosts_line(
        address, variables["builder_port"], variables["builder_host_key"]
    )
