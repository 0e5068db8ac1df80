# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes that never outlive the emulator, and short commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from pathlib import Path
from typing import IO

from metal_lab.core.settings import SettingsError


class CommandError(Exception):
    """A command of the machine's tools failed; the text has its own words."""


async def run(*command: str) -> str:
    """Run a short command to its end."""
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    output, _errors = await process.communicate()
    text = output.decode(errors="replace").strip()
    if process.returncode:
        raise CommandError(f"{' '.join(command)}: {text or f'exit status {process.returncode}'}")
    return text


async def start_child(
    command: list[str], directory: Path, pid_file: Path, *, output: IO[bytes] | int, errors: IO[bytes] | int
) -> Process:
    """Start a program that the kernel kills when the emulator dies, however it dies."""
    try:
        process = await asyncio.create_subprocess_exec(
            # setpriv sets the parent-death signal and becomes the program.
            *("setpriv", "--pdeathsig", "KILL", "--", *command),
            cwd=directory,
            stdin=DEVNULL,
            stdout=output,
            stderr=errors,
        )
    except FileNotFoundError as error:
        raise SettingsError("the program setpriv (package util-linux) is missing") from error
    _note(pid_file, process.pid)
    return process


def _note(pid_file: Path, pid: int | None) -> None:
    if pid is None:
        pid_file.unlink(missing_ok=True)
    else:
        pid_file.write_text(f"{pid}\n", encoding="ascii")


async def end_child(process: Process, pid_file: Path, patience: float = 5.0) -> None:
    """SIGTERM, then SIGKILL."""
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, None)):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), wait)
    _note(pid_file, None)


def end_leftover(pid_file: Path, mark: str) -> None:
    """Kill what an earlier emulator left behind, if the number still belongs to it: ``mark`` is on its command line."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        command = b""
    if mark.encode() in command:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)
