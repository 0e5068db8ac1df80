# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that are only said to exist: they boot by the clock and post what a builder would post."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Callable
from typing import Any

from metal_lab.backends.base import MachineReports
from metal_lab.core.clock import Clock
from metal_lab.core.records import Device
from metal_lab.core.settings import Settings
from metal_lab.core.store import Store


def ed25519_public_key() -> str:
    """The shape of an OpenSSH public key with random bytes: nobody holds a private half, and nobody needs one."""
    kind = b"ssh-ed25519"
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind, os.urandom(32)))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


class SimulatedBackend:
    def __init__(self, settings: Settings, clock: Clock, store: Store, new_key: Callable[[], str] = ed25519_public_key):
        self._settings = settings
        self._clock = clock
        self._store = store
        self._new_key = new_key
        self._reports: MachineReports | None = None
        self._booting: dict[str, Device] = {}

    async def start(self, reports: MachineReports, devices: list[Device]) -> None:
        self._reports = reports
        self._booting = {device.id: device for device in devices if device.boot_completes_at is not None}

    async def stop(self) -> None:
        self._booting.clear()

    def power_on(self, device: Device) -> None:
        device.powered = True
        device.boot_completes_at = self._clock.now() + self._settings.timing.boot
        self._booting[device.id] = device
        self._store.touch(device)
        if self._reports is not None:
            self._reports.connected_to_dhcp(device.id)

    def power_off(self, device: Device) -> None:
        device.powered = False
        device.boot_completes_at = None
        self._booting.pop(device.id, None)
        self._store.touch(device)

    def reset(self, device: Device) -> None:
        self.power_on(device)

    def destroy(self, device: Device) -> None:
        self.power_off(device)

    def tick(self, now: float) -> None:
        for device in list(self._booting.values()):
            if device.boot_completes_at is not None and device.boot_completes_at <= now:
                del self._booting[device.id]
                device.boot_completes_at = None
                self._store.touch(device)
                self._booted(device)

    def _booted(self, device: Device) -> None:
        if self._reports is None:
            return
        if self._settings.simulated.self_description:
            for code, message in self._self_description():
                self._reports.posted(device.id, code, json.dumps(message))
        self._reports.phoned_home(device.id)

    def _self_description(self) -> list[tuple[str, Any]]:
        """Events 1001 and 1002 as the builders' own phone-home script posts them."""
        said = self._settings.simulated
        key = said.host_key or self._new_key()
        keys = [{"system": system, "port": 22, "key": key} for system in said.systems[:1]]
        description = {
            "features": list(said.features),
            "system_types": list(said.systems),
            "max_jobs": said.max_jobs,
            "speed_factor": said.speed_factor,
            "mandatory_features": list(said.mandatory_features),
            "image_id": said.image_id,
            "boot_id": str(uuid.uuid4()),
        }
        return [("1001", keys), ("1002", description)]

    def describe(self, device: Device) -> dict[str, Any]:
        return {"backend": "simulated", "powered": device.powered, "boot_completes_at": device.boot_completes_at}

    def console(self, device: Device) -> str:
        return f"{device.hostname} is simulated and has no console\n"
