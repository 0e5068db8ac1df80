# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""KVM where it truly works, else software emulation."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio.subprocess import DEVNULL, PIPE

from metal_lab.core.settings import QemuSettings, SettingsError

_log = logging.getLogger(__name__)
_PATIENCE = 10.0


class Accelerator:
    """What runs the machines' processors; KVM can be given up while machines run."""

    def __init__(self, settings: QemuSettings, *, kvm: bool) -> None:
        self._settings = settings
        self.kvm = kvm

    @property
    def arguments(self) -> list[str]:
        """QEMU arguments for the accelerator and the processor."""
        if self.kvm:
            return ["-accel", "kvm", "-cpu", "host"]
        return ["-accel", f"tcg,thread=multi,tb-size={self._settings.tb_size_mb}", "-cpu", "max"]

    def give_up_kvm(self) -> bool:
        """Let machines that start from now on be emulated, unless the settings insist on KVM."""
        if self._settings.acceleration == "kvm":
            return False
        self.kvm = False
        return True


async def choose(settings: QemuSettings) -> Accelerator:
    """What the settings ask for; with `auto` what a first trial allows."""
    kvm = settings.acceleration != "tcg" and await kvm_runs(settings.binary)
    if settings.acceleration == "kvm" and not kvm:
        raise SettingsError("qemu.acceleration: kvm does not work on this machine; say tcg or auto")
    if not kvm:
        _log.info("machines run in software emulation: KVM does not work here, or is not wanted")
    return Accelerator(settings, kvm=kvm)


async def kvm_runs(binary: str) -> bool:
    """Run a processor for a moment: /dev/kvm may exist and open, and the first instruction still fail."""
    command = [binary, "-accel", "kvm", "-cpu", "host", "-M", "pc,graphics=off", "-m", "16", "-nodefaults"]
    try:
        process = await asyncio.create_subprocess_exec(
            *(*command, "-display", "none", "-qmp", "stdio"), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
    except FileNotFoundError as error:
        raise SettingsError(f"qemu.binary: {binary} is not installed (package qemu-system-x86)") from error
    try:
        return await asyncio.wait_for(_runs(process), _PATIENCE)
    except (TimeoutError, ValueError, OSError):
        return False
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _runs(process: asyncio.subprocess.Process) -> bool:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    process.stdin.write(b'{"execute": "qmp_capabilities"}\n')
    await process.stdin.drain()
    await asyncio.sleep(1.0)
    process.stdin.write(b'{"execute": "query-status"}\n')
    await process.stdin.drain()
    while line := await process.stdout.readline():
        answer = json.loads(line).get("return")
        if answer and "status" in answer:
            return bool(answer["status"] == "running")
    return False
