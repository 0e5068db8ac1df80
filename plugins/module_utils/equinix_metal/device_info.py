# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the info modules for machines and their events tell."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    devices,
    ownership,
    query,
    spot_bid,
    values,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import Refused, SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.paging import Reader

Result = dict[str, Any]


def inform(client: Client, options: dict[str, Any]) -> Result:
    """List machines of the project."""
    fleet = options["fleet"]
    wanted = list(options["tags"])
    if fleet is not None:
        wanted.insert(0, ownership.FLEET_TAG + spot_bid.check_name(fleet, "fleet"))
    found = devices.read_devices(client, tag=wanted[0] if wanted else None)
    ids, hostname = options["device_ids"], options["hostname"]
    chosen = [
        {
            **device,
            "fleet": ownership.marked(device["tags"], ownership.FLEET_TAG),
            "bid": ownership.marked(device["tags"], ownership.BID_TAG),
            "console": devices.console_of(device),
        }
        for device in found
        if set(wanted) <= set(device["tags"])
        and (not ids or device["id"] in ids)
        and hostname in (None, device["hostname"])
    ]
    result: Result = {
        "changed": False,
        "devices": chosen,
        "unknown_device_ids": sorted(set(ids) - {device["id"] for device in chosen}),
    }
    return query.with_answer(result, "devices", options["query"])


def inform_of_events(client: Client, options: dict[str, Any]) -> Result:
    """List the newest events of a machine."""
    device_id, limit = options["device_id"], options["limit"]
    if not 1 <= limit <= 10000:
        raise SettingError(f"limit must be a number of events from 1 to 10000, not {limit}.")
    if devices.read_raw(client, device_id) is None:
        raise Refused(f"There is no machine {device_id}, or no longer.")
    kinds, found = options["types"], []
    for page in Reader(client).walk(f"/devices/{device_id}/events", "events"):
        found += [_event(raw) for raw in page.items if not kinds or raw.get("type") in kinds]
        if len(found) >= limit:
            break
    return query.with_answer({"changed": False, "events": found[:limit]}, "events", options["query"])


def _event(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": values.text(raw.get("id")),
        "type": values.text(raw.get("type")),
        "body": raw.get("body") if isinstance(raw.get("body"), str) else None,
        "created_at": values.known_time(raw.get("created_at")),
        "ip": values.text(raw.get("ip")),
    }
