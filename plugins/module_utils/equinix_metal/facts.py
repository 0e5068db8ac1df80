# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builder facts of a device: what the provider knows, what the machine says of itself, and what the operator has written down.

Of each fact the first that is known counts: the operator's entry for the hostname, the one for the plan, the machine's own word,
the `defaults` of the entry for the hostname, those of the plan, the general defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, ownership
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence

PROVIDER = "equinix_metal"

GENERAL_DEFAULTS: dict[str, Any] = {
    "user": "build",
    "admin_user": "root",
    "port": 22,
    "systems": [],
    "features": [],
    "mandatory_features": [],
    "max_jobs": None,
    "speed_factor": 1.0,
    "host_key": None,
}

# What a machine says, by the names of its event.
_SAID = {
    "systems": "system_types",
    "features": "features",
    "mandatory_features": "mandatory_features",
    "max_jobs": "max_jobs",
    "speed_factor": "speed_factor",
}


@dataclasses.dataclass(frozen=True)
class Choices:
    """The operator's choices for the inventory."""

    plans: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    hostnames: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    skip_tags: tuple[str, ...] = ("skip-hydra",)
    address_kind: str = "public_ipv4"


def check_table(table: Mapping[str, Any], option: str) -> None:
    """Refuse an operator's table with a word that means nothing, which would silently do nothing."""
    for name, entry in table.items():
        if not isinstance(entry, Mapping):
            raise SettingError(f"{option}: the entry {name} must be a dictionary.")
        entries = {"": entry, ".defaults": entry.get("defaults") or {}}
        for place, words in entries.items():
            unknown = sorted(set(words) - set(GENERAL_DEFAULTS) - ({"defaults"} if not place else set()))
            if unknown:
                known = ", ".join(sorted(GENERAL_DEFAULTS))
                raise SettingError(f"{option}: {name}{place} has the unknown {', '.join(unknown)}; known are {known}.")


def builder_facts(
    device: Mapping[str, Any], evidence: Evidence, choices: Choices, request_id: str | None = None
) -> dict[str, Any]:
    """The host variables of one machine. What is not known is null or empty."""
    known = _known(device, evidence, choices)
    port = known["port"]
    systems = known["systems"] or _systems_at(evidence, port)
    host_key = known["host_key"] or evidence.host_key(port)
    address = devices.address_of(dict(device), choices.address_kind)
    facts = {
        **_provider_facts(device, choices, request_id),
        "builder_address": address,
        "builder_port": port,
        "builder_user": known["user"],
        "builder_admin_user": known["admin_user"],
        "builder_systems": systems,
        "builder_features": known["features"],
        "builder_mandatory_features": known["mandatory_features"],
        "builder_max_jobs": known["max_jobs"],
        "builder_speed_factor": known["speed_factor"],
        "builder_host_key": host_key,
        "builder_endpoints": _endpoints(evidence, port, systems, host_key),
        "builder_image_id": evidence.description.get("image_id"),
        "builder_boot_id": evidence.description.get("boot_id"),
        "builder_booting": evidence.booting,
        "builder_console": devices.console_of(dict(device)),
        "builder_known_hosts_line": known_hosts_line(address, port, host_key),
    }
    facts["builder_unavailable_reason"] = unavailable_reason(facts, evidence)
    return facts


def _provider_facts(device: Mapping[str, Any], choices: Choices, request_id: str | None) -> dict[str, Any]:
    tags = device["tags"]
    return {
        "builder_id": device["id"],
        "builder_provider": PROVIDER,
        "builder_fleet": ownership.marked(tags, ownership.FLEET_TAG),
        "builder_hostname": device["hostname"],
        "builder_state": device["state"],
        "builder_tags": tags,
        "builder_plan": device["plan"],
        "builder_location": device["metro"] or device["facility"],
        "builder_boot_url": device["ipxe_script_url"],
        "builder_created_at": device["created_at"],
        "builder_draining": is_draining(tags, choices.skip_tags),
        "builder_spot": _spot(device, request_id) if device["spot"] else None,
        "builder_reservation_id": device["reservation_id"],
        "builder_termination_time": device["termination_time"],
    }


def _spot(device: Mapping[str, Any], request_id: str | None) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "bid": ownership.marked(device["tags"], ownership.BID_TAG),
        "termination_time": device["termination_time"],
    }


def is_draining(tags: list[str], skip_tags: tuple[str, ...]) -> bool:
    """True when a tag keeps builds away: a skip tag alone, or with its owner behind an equals sign."""
    return any(tag == skip or tag.startswith(skip + "=") for tag in tags for skip in skip_tags)


def _known(device: Mapping[str, Any], evidence: Evidence, choices: Choices) -> dict[str, Any]:
    by_hostname = choices.hostnames.get(device["hostname"] or "") or {}
    by_plan = choices.plans.get(device["plan"] or "") or {}
    said = {name: evidence.description.get(word) for name, word in _SAID.items()}
    layers = [by_hostname, by_plan, said, by_hostname.get("defaults") or {}, by_plan.get("defaults") or {}]
    return {name: _first(name, [*layers, GENERAL_DEFAULTS]) for name in GENERAL_DEFAULTS}


def _first(name: str, layers: list[Mapping[str, Any]]) -> Any:
    return next((layer[name] for layer in layers if layer.get(name) is not None), None)


def _systems_at(evidence: Evidence, port: int) -> list[str]:
    return next((list(endpoint["systems"]) for endpoint in evidence.endpoints if endpoint["port"] == port), [])


def _endpoints(evidence: Evidence, port: int, systems: list[str], host_key: str | None) -> list[dict[str, Any]]:
    """Every port that builds. The machine's own port has the systems and the key that count, the operator's included."""
    own: list[str] = next((endpoint["host_keys"] for endpoint in evidence.endpoints if endpoint["port"] == port), [])
    keys = [host_key, *(key for key in own if key != host_key)] if host_key else own
    main = [{"systems": systems, "port": port, "host_keys": keys}] if keys else []
    others = [dict(endpoint) for endpoint in evidence.endpoints if endpoint["port"] != port]
    return [endpoint for endpoint in main + others if endpoint["systems"]]


def known_hosts_line(address: str | None, port: int, host_key: str | None) -> str | None:
    """The line of a known_hosts file that pins the machine's key."""
    if address is None or host_key is None:
        return None
    return f"{address if port == 22 else f'[{address}]:{port}'} {host_key}"


def unavailable_reason(facts: Mapping[str, Any], evidence: Evidence) -> str | None:
    """Why the machine cannot be given builds, whatever its tags say; None when it can."""
    if facts["builder_state"] != "active":
        return f"its state is {facts['builder_state']}, not active"
    if facts["builder_address"] is None:
        return "it has no address of the wanted kind"
    if facts["builder_host_key"] is None:
        return "; ".join(evidence.problems) or f"it has published no host key for port {facts['builder_port']}"
    nothing = [name for name in ("systems", "max_jobs") if not facts["builder_" + name]]
    if nothing:
        return f"neither the machine nor the tables plans and hostnames tell its {' and '.join(nothing)}"
    return None
