# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log of devices."""

from __future__ import annotations

import uuid

from metal_lab.core.records import Device, Event
from metal_lab.core.world import World

DHCP = "provisioning.104.01"
TEXTS = {
    "provisioning.101": "Provision started",
    "provisioning.102": "Network configured with addresses",
    "provisioning.103": "Configuration written, restarting device",
    DHCP: "Device connected to DHCP system",
    "provisioning.110": "Device phoned home and is ready to go",
}


class EventLog:
    def __init__(self, world: World) -> None:
        self._world = world

    def add(self, device: Device, event_type: str, body: str | None = None) -> Event:
        """Record what happened to a device, now."""
        event = Event(
            id=str(uuid.uuid4()),
            sequence=self._world.store.next_sequence(),
            device_id=device.id,
            project_id=device.project_id,
            type=event_type,
            body=TEXTS.get(event_type, event_type) if body is None else body,
            created_at=self._world.clock.now(),
            ip=device.address if event_type.startswith("user.") else None,
        )
        self._world.store.add(event)
        return event

    def of_device(self, device_id: str) -> list[Event]:
        """Newest first."""
        return list(reversed(self._world.store.events_of(device_id)))

    def of_project(self, project_id: str) -> list[Event]:
        """Newest first."""
        events = (event for event in self._world.store.all_events() if event.project_id == project_id)
        return sorted(events, key=lambda event: event.sequence, reverse=True)
