# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated cloud put together."""

from __future__ import annotations

from metal_lab.backends.base import Backend
from metal_lab.core.clock import Clock
from metal_lab.core.devices import Devices
from metal_lab.core.events import EventLog
from metal_lab.core.lifecycle import Lifecycle
from metal_lab.core.reservations import Reservations
from metal_lab.core.settings import Settings
from metal_lab.core.spot import SpotMarket
from metal_lab.core.store import Store
from metal_lab.core.world import World

_CLOCK_FACT = "clock_offset"


class Cloud:
    """One object per running emulator. All calls come from one thread."""

    def __init__(self, settings: Settings, clock: Clock, store: Store, backend: Backend) -> None:
        self.settings = settings
        self.clock = clock
        self.store = store
        self.backend = backend
        self.world = World.make(settings, clock, store)
        self.catalogue = self.world.catalogue
        self.market = self.world.market
        self.events = EventLog(self.world)
        self.reservations = Reservations(self.world)
        self.devices = Devices(self.world, self.events, backend, self.reservations)
        self.spot = SpotMarket(self.world, self.devices)
        self.machines = Lifecycle(self.world, self.devices, self.events, backend, self.reservations)
        if _CLOCK_FACT in store.facts:
            clock.advance(store.facts[_CLOCK_FACT] - clock.offset)

    async def start(self) -> None:
        await self.backend.start(self.machines, list(self.store.devices.values()))

    async def stop(self) -> None:
        await self.backend.stop()
        self.store.close()

    def tick(self) -> None:
        """Let everything happen that is due, and write it down."""
        now = self.clock.now()
        self.backend.tick(now)
        self.spot.tick(now)
        self.machines.tick(now)
        self.store.commit()

    def advance(self, seconds: float) -> None:
        """Move the clock in steps, so that what one step makes due happens in the next."""
        left = seconds
        while left > 0:
            step = min(left, 1.0) if seconds <= 600 else min(left, seconds / 600)
            self.clock.advance(step)
            left -= step
            self.tick()
        self.store.set_fact(_CLOCK_FACT, self.clock.offset)
        self.store.commit()
