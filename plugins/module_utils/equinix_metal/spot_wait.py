# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for the machines of a request."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, ownership, spot_requests
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import MetalError
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import (
    NOT_YET,
    REACHED,
    Verdict,
    WaitFailed,
    WaitTimedOut,
    wait_for,
)

Seen = dict[str, Any]


def look_at(client: Client, request_id: str, fleet: str) -> Seen:
    """A request's machines, as far as they exist; `gone` when the request is no longer there."""
    request = spot_requests.read_request(client, request_id)
    if request is None:
        return {"gone": True, "devices": []}
    made = set(request["device_ids"])
    machines = devices.read_devices(client, tag=ownership.FLEET_TAG + fleet) if made else []
    return {"gone": False, "devices": [device for device in machines if device["id"] in made]}


def judge(seen: Seen, wanted: int) -> Verdict:
    """Reached when so many machines are active; failed when a machine has, or the request is gone."""
    if seen["gone"]:
        return Verdict(failure="the request is gone")
    failed = [device["id"] for device in seen["devices"] if device["state"] == "failed"]
    if failed:
        return Verdict(failure=f"the provider failed to provision {', '.join(failed)}")
    return REACHED if active(seen) >= wanted else NOT_YET


def active(seen: Seen) -> int:
    return sum(device["state"] == "active" for device in seen["devices"])


def wait_for_devices(
    client: Client, request_id: str, fleet: str, least: int, most: int, timeout: float
) -> tuple[Seen, str | None]:
    """Wait for all machines. At the deadline the least number will do, with a warning that tells what is missing."""
    try:
        return wait_for(
            lambda: look_at(client, request_id, fleet), lambda seen: judge(seen, most), timeout, client.clock
        ), None
    except WaitTimedOut as late:
        seen: Any = late.last_seen
        told = f"After {timeout:g} seconds {_told(seen)} of the request {request_id} wanted {most} active"
        if active(seen) >= least:
            return seen, f"{told}; the least number, {least}, is reached."
        raise MetalError(
            f"{told} and needs at least {least}. The request stays. Is the bid above the current price, and is there capacity?"
        ) from late
    except WaitFailed as failed:
        raise MetalError(f"Waiting for the machines of the request {request_id}: {failed}.") from failed
    except MetalError as error:
        raise MetalError(
            f"The request {request_id} is live and may cost money; waiting for its machines failed: {error}"
        ) from error


def _told(seen: Seen) -> str:
    states = [f"{device['id']} ({device['state']})" for device in seen["devices"]]
    return f"the machines {', '.join(states)}" if states else "no machine"
