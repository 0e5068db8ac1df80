# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machines of a machines file said of themselves, remembered for a while.

Of a machine whose events could not be read nothing new is known, and a row that vanishes costs its builds. So its row stays as it
was, for a stated time, as long as the machine is still the one at that address. What the provider itself says of it (its state,
its tags, its end) is new and counts.

It is also remembered which reading the file was written from, so that a play that read the machines before, and writes after, does
not put back what has been taken out meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, parse_any, stamp

Facts = Mapping[str, Any]

# A reading from further in the future than this was written by a clock that is wrong, and tells nothing of what is newer.
CLOCKS_DIFFER_SECONDS = 300

SCHEMA = 1
# What a machine tells, and not its provider.
SAID = (
    "builder_systems",
    "builder_features",
    "builder_mandatory_features",
    "builder_max_jobs",
    "builder_speed_factor",
    "builder_host_key",
    "builder_endpoints",
)


class Memory(NamedTuple):
    """What was remembered, for how many seconds it counts, and the time now."""

    machines: Mapping[str, Any]
    keep_seconds: float
    now: float
    read_at: str = ""

    def newer_than(self, read_at: str) -> str:
        """When the reading was made that the file was written from, if it is newer than this one; empty if it is not, or not known."""
        remembered_at, this = parse_any(self.read_at), parse_any(read_at)
        if remembered_at is None or this is None or remembered_at > self.now + CLOCKS_DIFFER_SECONDS:
            return ""
        return self.read_at if this < remembered_at else ""

    def recalled(self, facts: Facts) -> dict[str, Any] | None:
        """The facts with what the machine said when it was last heard; None when that is too old, or was another machine."""
        known = self.machines.get(str(facts.get("builder_id")))
        if known is None or known["address"] != facts.get("builder_address"):
            return None
        heard = parse(known["heard_at"])
        if heard is None or self.now - heard > self.keep_seconds:
            return None
        return {**facts, **{name: known["said"][name] for name in SAID}}


def parse_memory(text: str, keep_seconds: float, now: float) -> Memory:
    """The memory as it was written; empty text is none."""
    if not text.strip():
        return Memory({}, keep_seconds, now)
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    machines = document.get("machines") if isinstance(document, Mapping) and document.get("schema") == SCHEMA else None
    read_at = document.get("read_at", "") if isinstance(document, Mapping) else ""
    sound = isinstance(read_at, str) and (not read_at or parse_any(read_at) is not None)
    if not isinstance(machines, Mapping) or not sound or not all(_is_known(entry) for entry in machines.values()):
        raise FleetError(
            f"the memory of the machines file is none of schema {SCHEMA}: remove nix_machines_memory_file, and it is made anew"
        )
    return Memory(machines, keep_seconds, now, read_at)


def with_memory(builders: Iterable[Facts], unread: Collection[str], memory: Memory) -> tuple[list[Facts], list[str]]:
    """The builders, unread ones as they were remembered; and the ids of those."""
    chosen: list[Facts] = []
    kept: list[str] = []
    for facts in builders:
        recalled = memory.recalled(facts) if facts.get("builder_id") in unread else None
        if recalled is not None:
            kept.append(str(facts["builder_id"]))
        chosen.append(recalled or facts)
    return chosen, kept


def remembered(
    builders: Iterable[Facts], included: Collection[str], kept: Collection[str], memory: Memory, read_at: str = ""
) -> dict[str, Any]:
    """What is to be remembered now: machines heard now anew, kept ones as they were, and the time of the reading."""
    machines: dict[str, Any] = {}
    for facts in builders if memory.keep_seconds > 0 else ():
        name = facts.get("builder_id")
        if name in kept:
            machines[str(name)] = memory.machines[str(name)]
        elif name in included:
            said = {field: facts[field] for field in SAID}
            machines[str(name)] = {"heard_at": stamp(memory.now), "address": facts["builder_address"], "said": said}
    return {"schema": SCHEMA, "read_at": read_at, "machines": machines}


def _is_known(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("heard_at"), str):
        return False
    said = entry.get("said")
    return isinstance(said, Mapping) and set(SAID) <= set(said) and "address" in entry
