# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend: the cloud's orders become work on machines, in order for each machine."""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from metal_lab.backends.base import MachineReports
from metal_lab.backends.qemu import acceleration
from metal_lab.backends.qemu.dhcp import DhcpServer
from metal_lab.backends.qemu.machine import Hardware, Machine
from metal_lab.backends.qemu.network import check_bridge, pin_address
from metal_lab.backends.qemu.processes import CommandError
from metal_lab.backends.qemu.qmp import QmpError
from metal_lab.core.catalogue import Catalogue
from metal_lab.core.records import Device
from metal_lab.core.settings import Settings, SettingsError

_log = logging.getLogger(__name__)
_DHCP_PAUSE = 5.0
# Between two looks at the processors of machines that run on KVM.
_LOOK_PAUSE = 3.0


class QemuBackend:
    def __init__(self, settings: Settings, catalogue: Catalogue, base_url: str) -> None:
        self._settings = settings
        self._plans = catalogue.plan_settings
        self._metadata_url = f"{base_url}/metadata"
        self._root = settings.state_directory.absolute() / "machines"
        self._dhcp = DhcpServer(settings, settings.state_directory.absolute() / "dhcp", self._booted)
        self._hardware: Hardware | None = None
        self._reports: MachineReports | None = None
        self._devices: dict[str, Device] = {}
        self._machines: dict[str, Machine] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._dhcp_again_at = 0.0

    # -- the whole -------------------------------------------------------------------------------

    async def start(self, reports: MachineReports, devices: list[Device]) -> None:
        """Machines that ran when the emulator ended are started again: they boot anew, as after a power failure."""
        qemu = self._settings.qemu
        check_bridge(qemu.bridge)
        self._hardware = Hardware(qemu, await acceleration.choose(qemu), self._metadata_url)
        self._reports = reports
        if self._hardware.accelerator.kvm:
            self._keep(asyncio.create_task(self._look_at_processors()))
        self._devices = {device.id: device for device in devices}
        await pin_address(qemu.bridge)
        await self._dhcp.serve(self._devices.values())
        for device in devices:
            if device.powered:
                self.power_on(device)

    async def stop(self) -> None:
        """`powered` stays as it is, so that the next start knows what ran."""
        self._reports = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(machine.stop() for machine in self._machines.values()))
        await self._dhcp.stop()

    def tick(self, now: float) -> None:
        if self._dhcp.died and self._dhcp_again_at <= now and self._reports is not None:
            self._dhcp_again_at = now + _DHCP_PAUSE
            self._keep(asyncio.create_task(self._serve_again()))
        self._fail_the_silent(now)

    async def _serve_again(self) -> None:
        try:
            await self._dhcp.serve(self._devices.values())
        except (SettingsError, OSError) as error:
            _log.error("%s", error)

    def _fail_the_silent(self, now: float) -> None:
        """Machines that never phoned home, when a limit is set."""
        limit = self._settings.qemu.boot_timeout
        if limit is None or self._reports is None:
            return
        for device in list(self._devices.values()):
            if device.state == "provisioning" and device.updated_at + limit < now:
                self.power_off(device)
                self._reports.failed(device.id, f"Device did not phone home within {limit:.0f} seconds")

    async def _look_at_processors(self) -> None:
        """KVM that a hypervisor emulates for this machine may run most instructions, and break down at one of iPXE's."""
        while True:
            await asyncio.sleep(_LOOK_PAUSE)
            for device in list(self._devices.values()):
                if await self._broke_down(device):
                    await self._go_on_without_kvm(device)

    async def _broke_down(self, device: Device) -> bool:
        machine = self._machines.get(device.id)
        try:
            return machine is not None and machine.running and await machine.broke_down()
        except QmpError:
            # It is being started or stopped; the next look will tell.
            return False

    async def _go_on_without_kvm(self, device: Device) -> None:
        assert self._hardware is not None
        if self._hardware.accelerator.give_up_kvm():
            _log.warning("machine %s broke down on KVM and is started again in software emulation", device.short_id)
            self._later(device, self._start_anew)
        elif self._reports is not None:
            self.power_off(device)
            self._reports.failed(device.id, "KVM broke down on this machine; set qemu.acceleration to tcg or auto")

    # -- orders ----------------------------------------------------------------------------------

    def power_on(self, device: Device) -> None:
        device.powered = True
        self._devices[device.id] = device
        self._later(device, self._start)

    def power_off(self, device: Device) -> None:
        device.powered = False
        self._later(device, self._stop)

    def reset(self, device: Device) -> None:
        """A machine that is off is switched on."""
        device.powered = True
        self._devices[device.id] = device
        self._later(device, self._reset)

    def destroy(self, device: Device) -> None:
        device.powered = False
        self._devices.pop(device.id, None)
        self._later(device, self._stop)

    def _later(self, device: Device, work: Callable[[Device, Machine], Awaitable[None]]) -> None:
        self._keep(asyncio.get_running_loop().create_task(self._in_order(device, work)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The event loop itself holds tasks only weakly."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_order(self, device: Device, work: Callable[[Device, Machine], Awaitable[None]]) -> None:
        async with self._locks[device.id]:
            try:
                await work(device, self._machine(device))
            except (CommandError, QmpError, SettingsError, OSError) as error:
                _log.error("machine %s: %s", device.short_id, error)
                if self._reports is not None:
                    self._reports.failed(device.id, str(error))

    def _machine(self, device: Device) -> Machine:
        assert self._hardware is not None
        if device.id not in self._machines:
            plan = self._plans[device.plan]
            self._machines[device.id] = Machine(device, plan, self._hardware, self._root / device.id)
        return self._machines[device.id]

    # -- work on one machine ---------------------------------------------------------------------

    async def _start(self, device: Device, machine: Machine) -> None:
        await self._dhcp.serve(self._devices.values())
        if not machine.running:
            process = await machine.start()
            self._keep(asyncio.create_task(self._watch(device, machine, process)))

    async def _reset(self, device: Device, machine: Machine) -> None:
        await self._dhcp.serve(self._devices.values())
        if machine.running:
            await machine.reset()
        else:
            await self._start(device, machine)

    async def _start_anew(self, device: Device, machine: Machine) -> None:
        if await self._broke_down(device):
            await machine.stop()
            await self._start(device, machine)

    async def _stop(self, device: Device, machine: Machine) -> None:
        await machine.stop()
        if device.id not in self._devices:
            await self._dhcp.serve(self._devices.values())
            del self._machines[device.id]
            self._locks.pop(device.id, None)

    async def _watch(self, device: Device, machine: Machine, process: Process) -> None:
        """A process that ends unasked: the guest switched itself off (exit status 0), or QEMU failed."""
        status = await process.wait()
        if machine.process is not process or self._reports is None:
            return
        async with self._locks[device.id]:
            await machine.stop()
        if status == 0:
            self._reports.stopped(device.id)
        else:
            self._reports.failed(device.id, f"QEMU ended with status {status}: {machine.complaint()}")

    def _booted(self, mac: str) -> None:
        found = next((device for device in self._devices.values() if device.mac == mac), None)
        if found is not None and self._reports is not None:
            self._reports.connected_to_dhcp(found.id)

    # -- looking at it ---------------------------------------------------------------------------

    def _directory(self, device: Device) -> Path:
        return self._root / device.id

    def describe(self, device: Device) -> dict[str, Any]:
        machine = self._machines.get(device.id)
        process = machine.process if machine else None
        return {
            "backend": "qemu",
            "powered": device.powered,
            "pid": process.pid if process and process.returncode is None else None,
            "acceleration": self._hardware.accelerator.arguments if self._hardware else None,
            "directory": str(self._directory(device)),
        }

    def console(self, device: Device) -> str:
        machine = self._machines.get(device.id)
        return machine.console() if machine else ""
