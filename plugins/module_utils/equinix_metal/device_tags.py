# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adding and removing tags of machines beside others who do the same.

The API replaces a machine's tags whole and knows no condition, so between reading and writing another's edit can get lost. As far as
that allows: the tags are read just before they are written, read again after a moment, and what is not as it should be is done again. A
tag of another's that was there before the write and is gone after it is not put back, for nobody can tell whether it was taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, ownership
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    Doubtful,
    MetalError,
    Refused,
    SettingError,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.tag_edits import Edit, are_texts
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Backoff

TRIES = 6
# Long enough that of two writers who read at the same moment, the first one sees what the second has written over.
PAUSES = Backoff(first=0.5, factor=1.5, longest=4.0, jitter=0.5)


def edits_from_options(options: dict[str, Any]) -> dict[str, Edit]:
    """The edit of each machine, by its id."""
    return {device_id: _edit(tags, options["state"] == "present") for device_id, tags in options["machines"].items()}


def _edit(tags: Any, present: bool) -> Edit:
    if not are_texts(tags):
        raise SettingError(f"machines: each id has a list of tags, not {tags!r}.")
    for tag in tags:
        if not tag or tag != tag.strip():
            raise SettingError(f"machines: a tag is a word without spaces around it, not {tag!r}.")
        if tag.startswith(ownership.PREFIXES):
            raise SettingError(f"machines: {tag!r} says whose the machine is, and is not changed after its purchase.")
    return Edit(add=tuple(tags)) if present else Edit(remove=tuple(tags))


def apply(client: Client, options: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make sure that machines of the fleet have, or lack, some tags. When one of them is refused, none is changed."""
    edits, fleet = edits_from_options(options), options["fleet"]
    before = {device_id: _read(client, device_id, fleet)["tags"] for device_id in edits}
    due = {device_id: edit for device_id, edit in edits.items() if not edit.holds(before[device_id])}
    changed = (
        {device_id: edit.applied(before[device_id]) for device_id, edit in due.items()}
        if check_mode
        else change(client, fleet, due)
    )
    after = {**before, **changed}
    return {"changed": bool(due), "machines": after, "diff": {"before": before, "after": after}}


def change(client: Client, fleet: str, edits: Mapping[str, Edit]) -> dict[str, list[str]]:
    """Write until later readings show what was wanted. The tags as read then, by machine."""
    pending = dict(edits)
    seen: dict[str, list[str]] = {}
    doubts: dict[str, MetalError] = {}
    pauses = PAUSES.pauses(client.clock)
    for _try in range(TRIES):
        if not pending:
            break
        for device_id, edit in pending.items():
            tags = _read(client, device_id, fleet)["tags"]
            doubt = None if edit.holds(tags) else _write(client, device_id, edit.applied(tags))
            if doubt:
                doubts[device_id] = doubt
        client.clock.sleep(next(pauses))
        seen |= {device_id: _read(client, device_id, fleet)["tags"] for device_id in pending}
        pending = {device_id: edit for device_id, edit in pending.items() if not edit.holds(seen[device_id])}
    if pending:
        raise Refused(" ".join(_told(device_id, doubts.get(device_id)) for device_id in pending))
    return seen


def _told(device_id: str, doubt: MetalError | None) -> str:
    why = f"The last error was: {doubt}" if doubt else "Someone else keeps writing its tags."
    return f"The tags of the machine {device_id} are not as wanted after {TRIES} tries. {why}"


def _write(client: Client, device_id: str, tags: list[str]) -> Doubtful | None:
    """Replace the tags. Whether a lost answer hides success is seen by the next reading."""
    try:
        client.put(f"/devices/{device_id}", {"tags": tags})
    except Doubtful as doubt:
        return doubt
    return None


def _read(client: Client, device_id: str, fleet: str) -> dict[str, Any]:
    device = devices.read_device(client, device_id)
    if device is None or device["state"] in devices.GONE_STATES:
        raise Refused(f"There is no machine {device_id}, so it has no tags.")
    ownership.check_owner(device, fleet, client.settings.project_id)
    return device
