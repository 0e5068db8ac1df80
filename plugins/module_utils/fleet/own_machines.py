# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builder facts of machines that the operator has anyway: what the inventory says of them, and the tags that they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.facts import facts_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.known_hosts import known_hosts_name

PROVIDER = "ssh_host"
# A machine with this tag was taken out of service by the verb terminate; its state is one in which nothing is built.
RETIRED_TAG = "retired"
RETIRED_STATE = "inactive"

# What the operator may say of a machine, and what counts when nothing is said.
WORDS: dict[str, Any] = {
    "address": None,
    "port": 22,
    "user": "build",
    "admin_user": "root",
    "hostname": None,
    "plan": None,
    "location": None,
    "systems": [],
    "features": [],
    "mandatory_features": [],
    "max_jobs": None,
    "speed_factor": 1.0,
    "host_key": None,
    "endpoints": None,
    "boot_url": None,
    "tags": [],
}


def own_builder(
    name: str, said: Mapping[str, Any], fleet: str, given: Sequence[str], skip_tags: Sequence[str]
) -> dict[str, Any]:
    """The host variables of one machine. `given` are the tags that it got since."""
    unknown = sorted(set(said) - set(WORDS))
    if unknown:
        raise FleetError(f"machine {name}: {', '.join(unknown)} is not known (known: {', '.join(sorted(WORDS))})")
    known = {**WORDS, **{word: value for word, value in said.items() if value is not None}}
    facts = _facts(name, known, fleet)
    broken = facts_problems(facts)
    if broken:
        raise FleetError(f"machine {name}: {'; '.join(broken)}")
    tags = [*known["tags"], *(tag for tag in given if tag not in known["tags"])]
    facts["builder_tags"] = tags
    facts["builder_state"] = RETIRED_STATE if RETIRED_TAG in tags else "active"
    facts["builder_draining"] = any(tag == skip or tag.startswith(f"{skip}=") for tag in tags for skip in skip_tags)
    return {**facts, "builder_declared_tags": list(known["tags"]), **_connection(facts)}


def _facts(name: str, known: Mapping[str, Any], fleet: str) -> dict[str, Any]:
    plain = ("address", "port", "user", "admin_user", "hostname", "plan", "location", "boot_url")
    more = ("systems", "features", "mandatory_features", "max_jobs", "speed_factor", "host_key")
    return {
        **{f"builder_{word}": known[word] for word in plain + more},
        "builder_id": name,
        "builder_provider": PROVIDER,
        "builder_fleet": fleet,
        "builder_state": "active",
        "builder_tags": known["tags"],
        "builder_endpoints": _endpoints(known),
        "builder_image_id": None,
        "builder_boot_id": None,
        "builder_created_at": None,
        "builder_draining": False,
        "builder_spot": None,
        "builder_reservation_id": None,
        "builder_termination_time": None,
    }


def _endpoints(known: Mapping[str, Any]) -> Any:
    if known["endpoints"] is not None:
        return known["endpoints"]
    if not known["systems"] or not known["host_key"]:
        return []
    return [{"systems": known["systems"], "port": known["port"], "host_keys": [known["host_key"]]}]


def _connection(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What Ansible itself connects by."""
    address, key = facts["builder_address"], facts["builder_host_key"]
    pinned = f"{known_hosts_name(address, facts['builder_port'])} {key}" if address and key else None
    found = {
        "ansible_user": facts["builder_admin_user"],
        "ansible_port": facts["builder_port"],
        "builder_known_hosts_line": pinned,
        "builder_unavailable_reason": _unavailable(facts),
    }
    return {**found, "ansible_host": address} if address else found


def _unavailable(facts: Mapping[str, Any]) -> str | None:
    if facts["builder_state"] != "active":
        return f"it was taken out of service (tag {RETIRED_TAG})"
    lacking = [word for word in ("address", "host_key", "systems", "max_jobs") if not facts[f"builder_{word}"]]
    return f"the inventory does not say its {', '.join(lacking)}" if lacking else None
