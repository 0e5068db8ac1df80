# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual machine: its command line, its process, its console."""

from __future__ import annotations

from asyncio.subprocess import DEVNULL, Process
from dataclasses import dataclass
from pathlib import Path

from metal_lab.backends.qemu import qmp
from metal_lab.backends.qemu.acceleration import Accelerator
from metal_lab.backends.qemu.disks import arguments as disk_arguments
from metal_lab.backends.qemu.disks import make_disks
from metal_lab.backends.qemu.network import add_tap, remove_tap, tap_name
from metal_lab.backends.qemu.processes import end_child, end_leftover, start_child
from metal_lab.core.records import Device
from metal_lab.core.settings import PlanSettings, QemuSettings

_CONSOLE_TAIL = 1_000_000


@dataclass(frozen=True)
class Hardware:
    """What all machines of this lab share."""

    settings: QemuSettings
    accelerator: Accelerator
    metadata_url: str


def command_line(device: Device, plan: PlanSettings, hardware: Hardware) -> list[str]:
    """Paths are relative to the machine's own directory."""
    settings = hardware.settings
    return [
        settings.binary,
        *("-name", device.short_id, "-uuid", device.id),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-M", "pc,graphics=off", *hardware.accelerator.arguments),
        *("-m", str(plan.memory_mb or settings.memory_mb), "-smp", str(plan.cores or settings.cores)),
        *("-netdev", f"tap,id=net,ifname={tap_name(device)},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net,mac={device.mac}"),
        # A boot that fails (the web host is not up yet) is tried again.
        *("-boot", "order=n,reboot-timeout=5000"),
        *("-device", "virtio-rng-pci"),
        *("-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console"),
        *("-qmp", "unix:qmp.sock,server=on,wait=off"),
        *("-smbios", f"type=1,manufacturer=nixmetal.builders lab,product={plan.slug},serial={device.id}"),
        *("-fw_cfg", f"name=opt/nixmetal/metadata,string={hardware.metadata_url}"),
        *disk_arguments(plan),
        *settings.extra_arguments,
    ]


class Machine:
    """Calls are made one after the other."""

    def __init__(self, device: Device, plan: PlanSettings, hardware: Hardware, directory: Path) -> None:
        self._device = device
        self._plan = plan
        self._hardware = hardware
        self.directory = directory
        self.process: Process | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def _pid_file(self) -> Path:
        return self.directory / "qemu.pid"

    async def start(self) -> Process:
        self.directory.mkdir(parents=True, exist_ok=True)
        end_leftover(self._pid_file, self._device.id)
        make_disks(self._plan, self.directory)
        await add_tap(tap_name(self._device), self._hardware.settings.bridge)
        command = command_line(self._device, self._plan, self._hardware)
        with (self.directory / "qemu.log").open("ab") as log:
            self.process = await start_child(command, self.directory, self._pid_file, output=DEVNULL, errors=log)
        return self.process

    async def reset(self) -> None:
        await qmp.execute(self.directory / "qmp.sock", "system_reset")

    async def broke_down(self) -> bool:
        """Whether the processor met an instruction that its accelerator cannot run (QEMU then stands still for good)."""
        answer = await qmp.execute(self.directory / "qmp.sock", "query-status")
        return bool(answer["status"] == "internal-error")

    async def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            await end_child(process, self._pid_file)
        await remove_tap(tap_name(self._device))

    def console(self) -> str:
        """The end of what the machine wrote; kept over reboots."""
        return _tail(self.directory / "console.log")

    def complaint(self) -> str:
        """QEMU's own words, for a machine that did not start."""
        return _tail(self.directory / "qemu.log")[-500:].strip()


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _CONSOLE_TAIL))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
