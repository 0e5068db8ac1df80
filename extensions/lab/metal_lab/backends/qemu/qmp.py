# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's machine protocol: one command over a socket of its own each time."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

_PATIENCE = 10.0


class QmpError(Exception):
    """The machine did not obey."""


async def execute(socket_path: Path, command: str, **arguments: Any) -> Any:
    """Connect, run one command, return what it returned."""
    try:
        return await asyncio.wait_for(_execute(socket_path, command, arguments), _PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise QmpError(f"{command}: {error or 'no answer'}") from error


async def _execute(socket_path: Path, command: str, arguments: dict[str, Any]) -> Any:
    # A socket's path may be 107 bytes long at most; through the directory's descriptor it always is shorter.
    directory = os.open(socket_path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{directory}/{socket_path.name}")
    finally:
        os.close(directory)
    try:
        await reader.readline()
        await _ask(reader, writer, "qmp_capabilities", {})
        return await _ask(reader, writer, command, arguments)
    finally:
        writer.close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str, arguments: dict[str, Any]
) -> Any:
    message = {"execute": command} | ({"arguments": arguments} if arguments else {})
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()
    while line := await reader.readline():
        answer = json.loads(line)
        if "error" in answer:
            raise QmpError(f"{command}: {answer['error'].get('desc')}")
        if "return" in answer:
            return answer["return"]
    raise QmpError(f"{command}: the connection ended")
