# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of machines: an IPv4 address from the pool and a MAC address derived from the id."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from metal_lab.core.errors import Unprocessable
from metal_lab.core.settings import PoolSettings


def mac_of(device_id: str) -> str:
    """In the prefix that QEMU uses for its guests."""
    tail = hashlib.sha256(device_id.encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


class AddressPool:
    """Hands out the lowest free address."""

    def __init__(self, settings: PoolSettings, used: Iterable[str]) -> None:
        self._settings = settings
        self._used = {int(ipaddress.IPv4Address(address)) for address in used}
        self._lowest = int(settings.first)

    def take(self) -> str:
        """Reserve an address, or raise an error that names the setting."""
        number = self._lowest
        while number in self._used:
            number += 1
        if number > int(self._settings.last):
            first, last = self._settings.first, self._settings.last
            raise Unprocessable(f"The lab's address pool ({first} to {last}, setting pool) is used up")
        self._used.add(number)
        self._lowest = number + 1
        return str(ipaddress.IPv4Address(number))

    @property
    def free(self) -> int:
        return int(self._settings.last) - int(self._settings.first) + 1 - len(self._used)

    def release(self, address: str) -> None:
        number = int(ipaddress.IPv4Address(address))
        self._used.discard(number)
        self._lowest = min(self._lowest, number)
