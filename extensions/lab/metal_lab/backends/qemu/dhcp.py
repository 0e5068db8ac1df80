# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DHCP for the machines: dnsmasq as a child, told of each machine by files, its log read for boots."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable
from pathlib import Path

from metal_lab.backends.qemu.processes import end_child, end_leftover, start_child
from metal_lab.core.records import Device
from metal_lab.core.settings import Settings, SettingsError

_log = logging.getLogger(__name__)
# 3137980459 user class: iPXE          3137980459 DHCPACK(br0) 10.99.7.101 52:54:00:aa:bb:01 hydra
_LINE = re.compile(r"(?P<transaction>\d+) (?P<what>user class: iPXE|DHCPACK\(\S+\) \S+ (?P<mac>[0-9a-f:]{17}))")
_REMEMBERED = 256
_START_SECONDS = 10.0


class BootWatcher:
    """Finds in dnsmasq's log that iPXE has got its address: one call for each boot.

    The operating system's own DHCP, and every renewal, name no user class iPXE and are passed over.
    """

    def __init__(self, booted: Callable[[str], None]) -> None:
        self._booted = booted
        self._by_ipxe: dict[str, None] = {}

    def read(self, line: str) -> None:
        match = _LINE.search(line)
        if match is None:
            return
        transaction, mac = match["transaction"], match["mac"]
        if mac is None:
            self._by_ipxe[transaction] = None
            while len(self._by_ipxe) > _REMEMBERED:
                del self._by_ipxe[next(iter(self._by_ipxe))]
        elif transaction in self._by_ipxe:
            del self._by_ipxe[transaction]
            self._booted(mac)


def host_line(device: Device) -> str:
    """One line of dhcp-hostsfile. The tag joins it to the machine's options."""
    return f"{device.mac},set:{_tag(device)},{device.address},{device.hostname},infinite\n"


def option_line(device: Device) -> str:
    """One line of dhcp-optsfile; the API lets no quote or space into a URL."""
    return f'tag:{_tag(device)},option:bootfile-name,"{device.ipxe_script_url}"\n' if device.ipxe_script_url else ""


def _tag(device: Device) -> str:
    return f"d{device.id.replace('-', '')}"


class DhcpServer:
    """A dnsmasq that is started anew when the machines change.

    SIGHUP would not do: dnsmasq 2.90 aborts on it once it has given a lease under --leasefile-ro, and leases it
    remembers would keep the address of a machine that is gone from the next one. It starts in some 20 ms, and
    iPXE asks again.
    """

    def __init__(self, settings: Settings, directory: Path, booted: Callable[[str], None]) -> None:
        self._settings = settings
        self._directory = directory
        self._watcher = BootWatcher(booted)
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._told = ""

    @property
    def _pid_file(self) -> Path:
        return self._directory / "dnsmasq.pid"

    def _command(self) -> list[str]:
        pool, qemu = self._settings.pool, self._settings.qemu
        mask = ipaddress.IPv4Network(f"0.0.0.0/{pool.prefix_length}").netmask
        return [
            qemu.dnsmasq,
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--group=root",
            "--port=0",
            f"--interface={qemu.bridge}",
            "--bind-dynamic",
            "--dhcp-authoritative",
            "--no-ping",
            f"--dhcp-range={pool.first},static,{mask},infinite",
            f"--dhcp-option=option:router,{pool.gateway}",
            f"--dhcp-hostsfile={self._directory / 'hosts'}",
            f"--dhcp-optsfile={self._directory / 'options'}",
            "--leasefile-ro",
            "--log-dhcp",
            "--log-facility=-",
        ]

    @property
    def died(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def serve(self, devices: Iterable[Device]) -> None:
        """Serve exactly these machines; return when it does."""
        async with self._lock:
            hosts, options = _files(devices)
            running = self._process is not None and self._process.returncode is None
            if running and self._told == hosts + options:
                return
            await self._end()
            self._write(hosts, options)
            await self._begin()
            self._told = hosts + options

    def _write(self, hosts: str, options: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        end_leftover(self._pid_file, str(self._directory))
        (self._directory / "hosts").write_text(hosts, encoding="ascii")
        (self._directory / "options").write_text(options, encoding="ascii")

    async def _begin(self) -> None:
        process = await start_child(self._command(), self._directory, self._pid_file, output=DEVNULL, errors=PIPE)
        self._process = process
        started: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._follow(process, started))
        try:
            complaint = await asyncio.wait_for(started, _START_SECONDS)
        except TimeoutError:
            complaint = f"it bound no socket within {_START_SECONDS:.0f} seconds"
        if complaint is not None:
            raise SettingsError(f"qemu.dnsmasq: {self._settings.qemu.dnsmasq} did not start: {complaint}")

    async def _follow(self, process: Process, started: asyncio.Future[str | None]) -> None:
        """Copy dnsmasq's log to a file and watch it for boots."""
        assert process.stderr is not None
        seen: list[str] = []
        with (self._directory / "dnsmasq.log").open("a", encoding="utf-8") as log:
            async for raw in process.stderr:
                line = raw.decode(errors="replace")
                log.write(line)
                log.flush()
                if not started.done():
                    seen.append(line.strip())
                    if "sockets bound" in line:
                        started.set_result(None)
                self._watcher.read(line)
        if not started.done():
            started.set_result("; ".join(seen) or "it said nothing")
        elif self._process is process:
            _log.error("dnsmasq ended with status %s", await process.wait())

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end_child(process, self._pid_file)
        if self._reader is not None:
            await self._reader

    async def stop(self) -> None:
        async with self._lock:
            await self._end()


def _files(devices: Iterable[Device]) -> tuple[str, str]:
    known = sorted(devices, key=lambda device: device.address)
    return "".join(map(host_line, known)), "".join(map(option_line, known))
