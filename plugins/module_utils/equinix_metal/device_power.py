# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switching machines on and off, and starting them anew.

A machine that reboots stays "active" throughout. That it has started again shows in its events: it asks for an address once more
(provisioning.104.01). What it has booted is proved elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, ownership, values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    Doubtful,
    MetalError,
    Refused,
    SettingError,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import BOOTED, latest_event
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import (
    NOT_YET,
    REACHED,
    Backoff,
    Verdict,
    WaitFailed,
    WaitTimedOut,
    wait_for,
)

Seen = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Action:
    """What the API is asked for, from which states, and what shows that it is done."""

    call: str
    possible: frozenset[str]
    under_way: frozenset[str]
    aim: str
    restarts: bool = False


ACTIONS: Mapping[str, Action] = {
    "on": Action("power_on", frozenset({"inactive"}), frozenset({"powering_on"}), "active"),
    "off": Action("power_off", frozenset({"active", "failed"}), frozenset({"powering_off"}), "inactive"),
    "rebooted": Action("reboot", frozenset({"active"}), frozenset(), "active", restarts=True),
    "rescued": Action("rescue", frozenset({"active", "inactive"}), frozenset(), "active", restarts=True),
    "reinstalled": Action(
        "reinstall", frozenset({"active", "inactive", "failed"}), frozenset(), "active", restarts=True
    ),
}
REINSTALL_OPTIONS = ("operating_system", "ipxe_script_url", "preserve_data", "deprovision_fast")
POLLS = Backoff(first=1.0, factor=1.5, longest=10.0)
# How long a lost answer's effect may take to show.
DOUBT_SECONDS = 30.0


def apply(client: Client, options: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring a machine of the fleet into a power state, or start it anew."""
    action, body = ACTIONS[options["state"]], _body(options)
    before = _look(client, options["device_id"], options["fleet"])
    asked = _is_needed(action, before, options)
    seen = before
    if asked and not check_mode:
        seen = _ask(client, options, action, body, before)
    if options["wait"] and not check_mode and not _done(action, before, seen, asked):
        seen = _wait(client, options, action, before, asked)
    after = action.aim if check_mode else seen["state"]
    return {
        "changed": asked,
        "device_id": options["device_id"],
        "device_state": after,
        "booted_at": seen["booted_at"],
        "diff": {"before": _shown(before["state"], 0), "after": _shown(after, int(asked and action.restarts))},
    }


def _shown(state: str, restarts: int) -> dict[str, Any]:
    return {"state": state, "restarts": restarts}


def _body(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: options[name] for name in REINSTALL_OPTIONS if options[name] is not None}
    if given and options["state"] != "reinstalled":
        raise SettingError(f"{', '.join(sorted(given))} can be given with state=reinstalled alone.")
    return {"type": ACTIONS[options["state"]].call, **given}


def _look(client: Client, device_id: str, fleet: str) -> Seen:
    device = devices.read_device(client, device_id)
    if device is None or device["state"] in devices.GONE_STATES:
        raise Refused(f"There is no machine {device_id}, or no longer.")
    ownership.check_owner(device, fleet, client.settings.project_id)
    boot = latest_event(client, device_id, BOOTED)
    return {
        "state": device["state"],
        "boot": boot and boot.get("id"),
        "booted_at": values.known_time(boot.get("created_at")) if boot else None,
    }


def _is_needed(action: Action, seen: Seen, options: dict[str, Any]) -> bool:
    if not action.restarts and seen["state"] in action.under_way | {action.aim}:
        return False
    if seen["state"] not in action.possible:
        raise Refused(
            f"The machine {options['device_id']} is {seen['state']}, and {action.call} is possible only when it is "
            f"{' or '.join(sorted(action.possible))}."
        )
    return True


def _ask(client: Client, options: dict[str, Any], action: Action, body: dict[str, Any], before: Seen) -> Seen:
    """Send the action once. When the answer is lost, look whether it took effect."""
    device_id, fleet = options["device_id"], options["fleet"]
    try:
        client.act(f"/devices/{device_id}/actions", body)
    except Doubtful as doubt:
        try:
            return wait_for(
                lambda: _look(client, device_id, fleet),
                lambda seen: REACHED if _moved(before, seen) else NOT_YET,
                DOUBT_SECONDS,
                client.clock,
                POLLS,
            )
        except WaitTimedOut:
            raise MetalError(
                f"{doubt} Whether the machine {device_id} will {action.call} is not known: nothing of it shows after "
                f"{DOUBT_SECONDS:g} seconds, and nothing was sent again. Look at it, and run this again."
            ) from doubt
    try:
        return _look(client, device_id, fleet)
    except MetalError:
        if options["wait"]:
            raise
        return before  # it was asked, and that was all that was wanted


def _moved(before: Seen, seen: Seen) -> bool:
    return bool(seen["state"] != before["state"] or seen["boot"] != before["boot"])


def _done(action: Action, before: Seen, seen: Seen, asked: bool) -> bool:
    restarted = not (asked and action.restarts) or seen["boot"] != before["boot"]
    return bool(seen["state"] == action.aim and restarted)


def _wait(client: Client, options: dict[str, Any], action: Action, before: Seen, asked: bool) -> Seen:
    device_id, timeout = options["device_id"], options["wait_timeout"]

    def judge(seen: Seen) -> Verdict:
        if seen["state"] == "failed" and before["state"] != "failed":
            return Verdict(failure="it has failed")
        return REACHED if _done(action, before, seen, asked) else NOT_YET

    try:
        return wait_for(lambda: _look(client, device_id, options["fleet"]), judge, float(timeout), client.clock, POLLS)
    except WaitTimedOut as late:
        last: Any = late.last_seen
        boot = f"its latest request for an address is of {last['booted_at'] or 'no time at all'}"
        raise MetalError(
            f"The machine {device_id} was asked to {action.call}; after {timeout} seconds it is {last['state']}, and {boot}."
        ) from late
    except WaitFailed as failed:
        raise MetalError(f"Waiting for the machine {device_id} to {action.call}: {failed}.") from failed
