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
from typing import Any, Callable

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
# How long machines are asked one after the other. A caller that holds a lock looks at it between its calls.
ASKING_SECONDS = 600.0


class Turn:
    """What is asked of one machine, how it was before, whether it was asked, and how it was seen last."""

    def __init__(self, client: Client, options: dict[str, Any], device_id: str) -> None:
        self.client, self.options, self.device_id = client, options, device_id
        self.action = ACTIONS[options["state"]]
        self.asked = False
        self.before: Seen = {}
        self.seen: Seen = {}
        self.failure: MetalError | None = None

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do a step, unless one before has failed."""
        if self.failure is None:
            try:
                step(*arguments)
            except MetalError as error:
                self.failure = error

    def begin(self, body: dict[str, Any], check_mode: bool, until: float) -> None:
        """Look at the machine, and ask where that is needed."""
        if self.client.clock.monotonic() > until:
            raise MetalError(
                f"The machine {self.device_id} was not asked: those before it took more than {ASKING_SECONDS:g} seconds. "
                f"Look at what the API says of them, and run this again."
            )
        self.before = self._look()
        asked = self._is_needed()
        if check_mode:
            self.asked, self.seen = asked, {**self.before, "state": self.action.aim}
        elif asked:
            self._ask(body)
        else:
            self.seen = self.before

    def finish(self, deadline: float) -> None:
        """Wait until the machine is in its state, and has begun to boot where it was to."""
        if self._is_done(self.seen):
            return
        seconds = max(0.0, deadline - self.client.clock.monotonic())
        try:
            self.seen = wait_for(self._look, self._judge, seconds, self.client.clock, POLLS)
        except WaitTimedOut as late:
            self.seen = late.last_seen  # type: ignore[assignment]
            boot = f"its latest request for an address is of {self.seen['booted_at'] or 'no time at all'}"
            raise MetalError(
                f"The machine {self.device_id} was asked to {self.action.call}; after {self.options['wait_timeout']} "
                f"seconds it is {self.seen['state']}, and {boot}."
            ) from late
        except WaitFailed as failed:
            self.seen = failed.last_seen  # type: ignore[assignment]
            raise MetalError(f"Waiting for the machine {self.device_id} to {self.action.call}: {failed}.") from failed

    def told(self) -> dict[str, Any]:
        return {"asked": self.asked, "device_state": self.seen["state"], "booted_at": self.seen["booted_at"]}

    def shown(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """For the diff: before and after."""
        restarts = int(self.asked and self.action.restarts)
        return {"state": self.before["state"], "restarts": 0}, {"state": self.seen["state"], "restarts": restarts}

    def _look(self) -> Seen:
        device = devices.read_device(self.client, self.device_id)
        if device is None or device["state"] in devices.GONE_STATES:
            raise Refused(f"There is no machine {self.device_id}, or no longer.")
        ownership.check_owner(device, self.options["fleet"], self.client.settings.project_id)
        boot = latest_event(self.client, self.device_id, BOOTED)
        return {
            "state": device["state"],
            "boot": boot and boot.get("id"),
            "booted_at": values.known_time(boot.get("created_at")) if boot else None,
        }

    def _is_needed(self) -> bool:
        action, state = self.action, self.before["state"]
        if not action.restarts and state in action.under_way | {action.aim}:
            return False
        if state not in action.possible:
            raise Refused(
                f"The machine {self.device_id} is {state}, and {action.call} is possible only when it is "
                f"{' or '.join(sorted(action.possible))}."
            )
        return True

    def _ask(self, body: dict[str, Any]) -> None:
        """Send the action once. When the answer is lost, look whether it took effect."""
        try:
            self.client.act(f"/devices/{self.device_id}/actions", body)
        except Doubtful as doubt:
            try:
                self.seen = wait_for(self._look, self._moved, DOUBT_SECONDS, self.client.clock, POLLS)
            except WaitTimedOut:
                raise MetalError(
                    f"{doubt} Whether the machine {self.device_id} will {self.action.call} is not known: nothing of it "
                    f"shows after {DOUBT_SECONDS:g} seconds, and nothing was sent again. Look at it, and run this again."
                ) from doubt
            self.asked = True
            return
        self.asked, self.seen = True, self.before
        try:
            self.seen = self._look()
        except MetalError:
            if self.options["wait"]:
                raise
            # It was asked, and that was all that was wanted.

    def _moved(self, seen: Seen) -> Verdict:
        moved = seen["state"] != self.before["state"] or seen["boot"] != self.before["boot"]
        return REACHED if moved else NOT_YET

    def _is_done(self, seen: Seen) -> bool:
        restarted = not (self.asked and self.action.restarts) or seen["boot"] != self.before["boot"]
        return bool(seen["state"] == self.action.aim and restarted)

    def _judge(self, seen: Seen) -> Verdict:
        if seen["state"] == "failed" and self.before["state"] != "failed":
            return Verdict(failure="it has failed")
        return REACHED if self._is_done(seen) else NOT_YET


def apply(client: Client, options: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring machines of the fleet into a power state, or start them anew. One that is refused does not keep the others.

    Raises `Refused` when there is such a one, with what is known of all of them.
    """
    body = _body(options)
    device_ids = [devices.known_id(device_id, "device_ids") for device_id in dict.fromkeys(options["device_ids"])]
    turns = [Turn(client, options, device_id) for device_id in device_ids]
    until = client.clock.monotonic() + ASKING_SECONDS
    for turn in turns:
        turn.attempt(turn.begin, body, check_mode, until)
    if options["wait"] and not check_mode:
        deadline = client.clock.monotonic() + options["wait_timeout"]
        for turn in turns:
            turn.attempt(turn.finish, deadline)
    failures = {turn.device_id: str(turn.failure) for turn in turns if turn.failure}
    seen = [turn for turn in turns if turn.seen]
    told = {
        "changed": any(turn.asked for turn in turns),
        "machines": {turn.device_id: turn.told() for turn in seen},
        "failures": failures,
        "diff": {
            "before": {turn.device_id: turn.shown()[0] for turn in seen},
            "after": {turn.device_id: turn.shown()[1] for turn in seen},
        },
    }
    if failures:
        raise Refused(" ".join(failures.values()), told)
    return told


def _body(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: options[name] for name in REINSTALL_OPTIONS if options[name] is not None}
    if given and options["state"] != "reinstalled":
        raise SettingError(f"{', '.join(sorted(given))} can be given with state=reinstalled alone.")
    return {"type": ACTIONS[options["state"]].call, **given}
