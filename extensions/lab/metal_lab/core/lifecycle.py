# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine of devices: what becomes due, and what machines report."""

from __future__ import annotations

from metal_lab.backends.base import Backend
from metal_lab.core.devices import Devices
from metal_lab.core.events import DHCP, EventLog
from metal_lab.core.records import Device
from metal_lab.core.reservations import Reservations
from metal_lab.core.world import GONE, World


class Lifecycle:
    """Also the receiver of the machines' own reports (MachineReports)."""

    def __init__(
        self, world: World, devices: Devices, events: EventLog, backend: Backend, reservations: Reservations
    ) -> None:
        self._world = world
        self._reservations = reservations
        self._devices = devices
        self._events = events
        self._backend = backend

    def tick(self, now: float) -> None:
        for device in list(self._world.store.devices.values()):
            if device.termination_time is not None and device.termination_time <= now:
                self._devices.end(device)
            if device.next_state is not None and (device.next_state_at or 0) <= now:
                self._enter(device, device.next_state)

    def _enter(self, device: Device, state: str) -> None:
        if state == "deleted":
            self._devices.forget(device)
            return
        self._devices.move(device, state)
        if state == "provisioning":
            for step in ("provisioning.101", "provisioning.102", "provisioning.103"):
                self._events.add(device, step)
            if self._reservations.is_broken(device):
                self.failed(device.id, "The reserved server does not come up")
            else:
                self._backend.power_on(device)

    # -- reports ---------------------------------------------------------------------------------

    def _present(self, device_id: str) -> Device | None:
        device = self._world.store.devices.get(device_id)
        return device if device is not None and device.state not in GONE else None

    def connected_to_dhcp(self, device_id: str) -> None:
        device = self._present(device_id)
        if device is not None:
            device.boots += 1
            self._world.store.touch(device)
            self._events.add(device, DHCP)

    def posted(self, device_id: str, code: str, message: str) -> None:
        device = self._present(device_id)
        if device is not None:
            self._events.add(device, f"user.{code}", message)

    def phoned_home(self, device_id: str) -> None:
        device = self._present(device_id)
        if device is not None and device.state in ("provisioning", "reinstalling"):
            self._events.add(device, "provisioning.110")
            self._devices.move(device, "active")

    def stopped(self, device_id: str) -> None:
        """The machine switched itself off."""
        device = self._present(device_id)
        if device is not None:
            device.powered = False
            self._devices.move(device, "inactive")

    def failed(self, device_id: str, reason: str) -> None:
        device = self._present(device_id)
        if device is not None:
            device.powered = False
            self._events.add(device, "provisioning.failed", reason)
            self._devices.move(device, "failed")
