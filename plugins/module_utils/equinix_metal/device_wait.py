# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for single machines: until they are active, or gone."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices
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


def look_at(client: Client, device_ids: list[str]) -> Seen:
    """The machines by id; None for one that is gone."""
    return {device_id: devices.read_device(client, device_id) for device_id in device_ids}


def judge_active(seen: Seen) -> Verdict:
    """Reached when all are active; failed when one has, or is gone."""
    for device_id, device in seen.items():
        state = "gone" if device is None else device["state"]
        if state == "failed":
            return Verdict(failure=f"the provider failed to provision {device_id}")
        if state == "gone" or state in devices.GONE_STATES:
            return Verdict(failure=f"{device_id} is {state}")
    return REACHED if all(device["state"] == "active" for device in seen.values()) else NOT_YET


def judge_gone(seen: Seen) -> Verdict:
    return NOT_YET if any(device is not None and device["state"] != "deleted" for device in seen.values()) else REACHED


def wait_until_active(client: Client, device_ids: list[str], timeout: float) -> list[dict[str, Any]]:
    """The machines, all active."""
    try:
        seen = wait_for(lambda: look_at(client, device_ids), judge_active, timeout, client.clock)
    except WaitTimedOut as late:
        raise MetalError(
            f"After {timeout:g} seconds not all machines are active: {_told(late.last_seen)}. They stay, and cost money."
        ) from late
    except WaitFailed as failed:
        raise MetalError(
            f"Waiting for the machines {', '.join(device_ids)}: {failed}. What is live stays, and costs money."
        ) from failed
    return list(seen.values())


def wait_until_gone(client: Client, device_ids: list[str], timeout: float) -> None:
    try:
        wait_for(lambda: look_at(client, device_ids), judge_gone, timeout, client.clock)
    except WaitTimedOut as late:
        raise MetalError(
            f"After {timeout:g} seconds not all machines are gone: {_told(late.last_seen)}. They were asked to end."
        ) from late


def _told(seen: Any) -> str:
    return ", ".join(
        f"{device_id} ({'gone' if device is None else device['state']})" for device_id, device in seen.items()
    )
