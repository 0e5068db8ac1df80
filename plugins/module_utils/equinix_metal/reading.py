# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reading of a project's builders: devices, what they say of themselves, and which request made them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    devices,
    ownership,
    spot_requests,
    values,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import ApiError, NotFound
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence, read_evidence
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events_cache import Kept

# Machines in these states have nothing to say, or no longer.
SILENT_STATES = frozenset({"queued", "deprovisioning", "deleted", "failed"})
# Answers to the list of requests that mean "there is no spot market here".
NO_SPOT_MARKET = frozenset({403, 404, 410})

Device = dict[str, Any]
Machine = dict[str, Any]


def read(
    client: Client,
    fleet: str | None = None,
    tags: Iterable[str] = (),
    workers: int = 8,
    choose: Callable[[list[Device]], list[Device]] = list,
    now: Callable[[], datetime.datetime] = values.utc_now,
    known: Kept | None = None,
) -> dict[str, Any]:
    """The machines of a fleet, or of the project, as far as they are chosen. Plain data, which a cache can keep.

    It is complete when every machine could be read; `problems` tells which could not. Whose events are `known` is not asked again, and
    the reading is as old as the oldest of them, while `listed_at` is when the machines themselves were listed.
    """
    started = values.stamp(now())
    wanted = [] if fleet is None else [ownership.FLEET_TAG + fleet]
    wanted += tags
    found = devices.read_devices(client, tag=wanted[0] if wanted else None, workers=workers)
    chosen = choose([device for device in found if set(wanted) <= set(device["tags"])])
    made = _requests_by_device(client) if any(device["spot"] for device in chosen) else {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        machines = list(pool.map(lambda device: _machine(client, device, made, started, known or {}), chosen))
    problems = [machine["unread"] for machine in machines if machine["unread"]]
    read_at = min([started, *(machine["events_read_at"] for machine in machines)])
    return {
        "read_at": read_at,
        "listed_at": started,
        "complete": not problems,
        "problems": problems,
        "machines": machines,
    }


def _machine(client: Client, device: Device, made: Mapping[str, str], now: str, known: Kept) -> Machine:
    evidence, unread, read_at = Evidence(), None, now
    if device["state"] == "active" and device["id"] in known:
        evidence, read_at = Evidence(**known[device["id"]]["evidence"]), known[device["id"]]["read_at"]
    elif device["state"] not in SILENT_STATES:
        try:
            evidence = read_evidence(client, device["id"])
        except NotFound:
            evidence.problems.append("it was gone when its events were read")
        except ApiError as error:
            unread = f"its events could not be read: {error}"
            evidence.problems.append(unread)
    return {
        "device": device,
        "request_id": made.get(device["id"]),
        "evidence": dataclasses.asdict(evidence),
        "unread": unread,
        "events_read_at": read_at,
    }


def _requests_by_device(client: Client) -> dict[str, str]:
    try:
        requests = spot_requests.read_requests(client, include=None)
    except ApiError as error:
        if error.status in NO_SPOT_MARKET:
            return {}
        raise
    return {device_id: request["id"] for request in requests for device_id in request["device_ids"]}
