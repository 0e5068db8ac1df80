# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind a device: nothing (simulated) or a virtual machine (qemu)."""

from __future__ import annotations

from metal_lab.backends.base import Backend
from metal_lab.backends.qemu.backend import QemuBackend
from metal_lab.backends.simulated import SimulatedBackend
from metal_lab.core.catalogue import Catalogue
from metal_lab.core.clock import Clock
from metal_lab.core.settings import Settings
from metal_lab.core.store import Store


def make_backend(settings: Settings, clock: Clock, store: Store, base_url: str) -> Backend:
    if settings.backend == "qemu":
        return QemuBackend(settings, Catalogue(settings), base_url)
    return SimulatedBackend(settings, clock, store)
