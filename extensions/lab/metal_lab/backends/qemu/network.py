# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TAP devices on the bridge of the emulator's own network namespace."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from metal_lab.backends.qemu.processes import CommandError, run
from metal_lab.core.records import Device
from metal_lab.core.settings import SettingsError


def tap_name(device: Device) -> str:
    """An interface name has at most 15 characters."""
    return "tap" + device.id.replace("-", "")[:12]


def check_bridge(bridge: str) -> None:
    """Read from /proc, which always shows the process's own namespace; /sys may show the one that mounted it."""
    lines = Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()
    if not any(line.strip().startswith(f"{bridge}:") for line in lines):
        raise SettingsError(f"qemu.bridge: there is no bridge {bridge} in the emulator's network namespace")


async def pin_address(bridge: str) -> None:
    """A bridge takes the lowest MAC address of its ports unless it was told one; open connections would stall."""
    address = json.loads(await run("ip", "-json", "link", "show", "dev", bridge))[0]["address"]
    if address == "00:00:00:00:00:00":
        address = "02:00:00:00:00:02"
    await run("ip", "link", "set", "dev", bridge, "address", address)


async def add_tap(name: str, bridge: str) -> None:
    await remove_tap(name)
    await run("ip", "tuntap", "add", "dev", name, "mode", "tap")
    await run("ip", "link", "set", "dev", name, "master", bridge, "up")


async def remove_tap(name: str) -> None:
    with contextlib.suppress(CommandError):
        await run("ip", "link", "del", "dev", name)
