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

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, facts, query, reading
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events_cache import EventsCache
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings

# Raised when what is cached changes its form, so that an older cache is not misread.
CACHE_FORM = 6

FILTERS = ("states", "metros", "plans", "hostnames", "images")

_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclasses.dataclass(frozen=True)
class Scope:
    """Which machines of which projects are meant. Empty filters let all through."""

    fleet: str | None = None
    tags: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    metros: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    spot: bool | None = None
    query: str | None = None

    def choose(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The devices that are meant, before their events are read."""
        chosen = [device for device in found if self._fits(device)]
        if self.query is None:
            return chosen
        ids = query.chosen_ids(self.query, chosen)
        return [device for device in chosen if device["id"] in ids]

    def filters(self) -> list[str]:
        """The options that may leave machines out of the reading. The fleet and the projects are its scope, and told apart."""
        given = {f"only_{name}": getattr(self, name) for name in (*FILTERS, "spot")}
        given = {"tags": self.tags, **given, "query": self.query}
        return [option for option, value in given.items() if value not in ((), None)]

    def _fits(self, device: Mapping[str, Any]) -> bool:
        filters = ((self.states, "state"), (self.metros, "metro"), (self.plans, "plan"), (self.hostnames, "hostname"))
        fits = all(not wanted or device[field] in wanted for wanted, field in filters)
        return fits and self.spot in (None, device["spot"])

    def fits_image(self, machine: Mapping[str, Any]) -> bool:
        """Whether a machine says that it runs one of the images. One that does not say what it runs is none of them."""
        return not self.images or machine["evidence"]["description"].get("image_id") in self.images


@dataclasses.dataclass(frozen=True)
class Reading:
    """The machines as they were at a moment."""

    read_at: str
    complete: bool
    problems: list[str]
    machines: list[dict[str, Any]]
    stale: bool = False
    listed_at: str = ""

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def fingerprint(settings: Settings, scope: Scope) -> str:
    """What a cached reading depends on, in few characters: another project's or fleet's is another reading."""
    words = [CACHE_FORM, settings.url, settings.project_id, dataclasses.astuple(scope)]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def take(clients: list[Client], scope: Scope, workers: int, cache: EventsCache | None = None) -> Reading:
    """Read the machines from the API, of each project. One that cannot be read makes the whole reading fail."""
    known = cache.load() if cache else None
    parts = [reading.read(client, scope.fleet, scope.tags, workers, scope.choose, known=known) for client in clients]
    machines = [machine for part in parts for machine in part["machines"]]
    if cache:
        cache.save(machines)
    return Reading(
        read_at=min(part["read_at"] for part in parts),
        complete=all(part["complete"] for part in parts),
        problems=[problem for part in parts for problem in part["problems"]],
        # Of one that could not be read it is not known what it runs: it stays listed, with the reason.
        machines=[machine for machine in machines if machine["unread"] or scope.fits_image(machine)],
        listed_at=min(part["listed_at"] for part in parts),
    )


def from_cache(data: Mapping[str, Any]) -> Reading:
    """A reading as the cache kept it, with the time at which it was taken."""
    listed_at = data.get("listed_at") or data["read_at"]
    return Reading(
        data["read_at"], data["complete"], list(data["problems"]), list(data["machines"]), listed_at=listed_at
    )


def announcement(taken: Reading, source: str, project: str, count: int, scope: Scope, hidden: bool) -> dict[str, Any]:
    """The variable builders_reading of a reading of all machines, with what it says nothing of."""
    return {
        "fleet": scope.fleet,
        "filters": [*scope.filters(), *(["hide_draining"] if hidden else [])],
        "unread": [machine["device"]["id"] for machine in taken.machines if machine["unread"]],
        "complete": True,
        "source": source,
        "project": project,
        "count": count,
        "read_at": taken.read_at,
        "listed_at": taken.listed_at or taken.read_at,
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
