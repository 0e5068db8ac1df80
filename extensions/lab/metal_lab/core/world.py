# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of the cloud works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metal_lab.core.catalogue import Catalogue
from metal_lab.core.clock import Clock
from metal_lab.core.market import Market
from metal_lab.core.settings import Settings
from metal_lab.core.store import Store

GONE = frozenset({"deprovisioning", "deleted", "failed"})


@dataclass(frozen=True)
class World:
    settings: Settings
    clock: Clock
    store: Store
    catalogue: Catalogue
    market: Market

    @classmethod
    def make(cls, settings: Settings, clock: Clock, store: Store) -> World:
        catalogue = Catalogue(settings)
        return cls(settings, clock, store, catalogue, Market(settings.market, catalogue, store, clock))

    def free_capacity(self, plan: str, metro: str) -> int:
        """Machines of this plan that the metro still has."""
        limits: dict[str, Any] = self.store.facts.get("capacity", {})
        limit = int(limits.get(f"{plan}/{metro}", self.catalogue.plan_settings[plan].capacity))
        devices = self.store.devices.values()
        used = sum(1 for device in devices if device.plan == plan and device.metro == metro and not device.reserved)
        return max(0, limit - used)
