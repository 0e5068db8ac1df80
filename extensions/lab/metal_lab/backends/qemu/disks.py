# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of virtual machines: files in the machine's own directory."""

from __future__ import annotations

from pathlib import Path

from metal_lab.core.settings import DiskSettings, PlanSettings

# What a new disk begins with, so that it can be seen whether a machine has written to it.
MARK = b"nixmetal.builders lab: nothing was written here\n" * 4096
_MEGABYTE = 1 << 20
_DEVICES = {"virtio": "virtio-blk-pci", "nvme": "nvme", "usb": "usb-storage"}


def file_name(disk: DiskSettings) -> str:
    return f"disk-{disk.serial}.img"


def make_disks(plan: PlanSettings, directory: Path) -> None:
    """Those that are not there yet. Sparse: they take the room that a machine fills."""
    for disk in plan.disks:
        path = directory / file_name(disk)
        if not path.exists():
            part = path.with_suffix(".part")
            with part.open("wb") as stream:
                stream.write(MARK)
                stream.truncate(disk.size_mb * _MEGABYTE)
            part.rename(path)


def arguments(plan: PlanSettings) -> list[str]:
    """QEMU's. Paths are relative to the machine's directory."""
    words = []
    if any(disk.bus == "usb" for disk in plan.disks):
        words += ["-device", "qemu-xhci"]
    for number, disk in enumerate(plan.disks):
        words += ["-drive", f"if=none,id=disk{number},format=raw,file={file_name(disk)}"]
        words += ["-device", f"{_DEVICES[disk.bus]},drive=disk{number},serial={disk.serial}"]
    return words
