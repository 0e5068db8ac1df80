# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reading of a project's builders: devices, what they say of themselves, and which request made them."""

from __future__ import annotations

import concurrent.futures
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
    told = _ask(client, [device for device in chosen if _is_asked(device, known or {})], workers)
    machines = [_machine(device, made, started, known or {}, told) for device in chosen]
    problems = [machine["unread"] for machine in machines if machine["unread"]]
    read_at = min([started, *(machine["events_read_at"] for machine in machines)])
    return {
        "read_at": read_at,
        "listed_at": started,
        "complete": not problems,
        "problems": problems,
        "machines": machines,
    }


def _is_asked(device: Device, known: Kept) -> bool:
    return device["state"] not in SILENT_STATES and not _is_known(device, known)


def _is_known(device: Device, known: Kept) -> bool:
    return device["state"] == "active" and device["id"] in known


def _ask(client: Client, asked: list[Device], workers: int) -> dict[str, tuple[Evidence, str | None]]:
    """What machines say of themselves, some at once, and why it could not be read."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        answers = pool.map(lambda device: _asked(client, device), asked)
        return {device["id"]: answer for device, answer in zip(asked, answers)}


def _asked(client: Client, device: Device) -> tuple[Evidence, str | None]:
    try:
        return read_evidence(client, device["id"]), None
    except NotFound:
        return Evidence(problems=["it was gone when its events were read"]), None
    except ApiError as error:
        unread = f"its events could not be read: {error}"
        return Evidence(problems=[unread]), unread


def _machine(
    device: Device,
    made: Mapping[str, str],
    now: str,
    known: Kept,
    told: Mapping[str, tuple[Evidence, str | None]],
) -> Machine:
    evidence, unread = told.get(device["id"], (Evidence(), None))
    read_at = now
    if _is_known(device, known):
        evidence, read_at = Evidence(**known[device["id"]]["evidence"]), known[device["id"]]["read_at"]
    return {
        "device": device,
        "request_id": made.get(device["id"]),
        # Not dataclasses.asdict, which copies to the last word.
        "evidence": dict(vars(evidence)),
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
