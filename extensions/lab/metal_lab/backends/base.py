# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between the cloud and whatever stands behind its devices."""

from __future__ import annotations

from typing import Any, Protocol

from metal_lab.core.records import Device


class MachineReports(Protocol):
    """What machines tell the cloud. Every call is safe for a device that is gone."""

    def connected_to_dhcp(self, device_id: str) -> None: ...

    def posted(self, device_id: str, code: str, message: str) -> None: ...

    def phoned_home(self, device_id: str) -> None: ...

    def stopped(self, device_id: str) -> None: ...

    def failed(self, device_id: str, reason: str) -> None: ...


class Backend(Protocol):
    """Calls return at once; what takes time happens later and is reported."""

    def power_on(self, device: Device) -> None: ...

    def power_off(self, device: Device) -> None: ...

    def reset(self, device: Device) -> None: ...

    def destroy(self, device: Device) -> None: ...

    def tick(self, now: float) -> None: ...

    async def start(self, reports: MachineReports, devices: list[Device]) -> None:
        """Bring the machines of an earlier run back to the power state that they had."""

    async def stop(self) -> None: ...

    def describe(self, device: Device) -> dict[str, Any]: ...

    def console(self, device: Device) -> str:
        """What the machine wrote to its serial console."""
