# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn's HTTP protocol with one more power: to reset the connection under a call."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_transports: dict[tuple[str, int], asyncio.Transport] = {}


class ResettableProtocol(H11Protocol):
    """Remembers the transport of each open connection by the client's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = (peer[0], peer[1]) if peer else None
        if self._peer:
            _transports[self._peer] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer:
            _transports.pop(self._peer, None)
        super().connection_lost(exc)


def abort_connection(scope: Scope) -> None:
    """Send a TCP reset. Outside of a real server (a test client) this is an exception."""
    client = scope.get("client")
    transport = _transports.get((client[0], client[1])) if client else None
    if transport is None:
        raise ConnectionResetError("injected fault: connection reset")
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # SO_LINGER of zero seconds: close() discards what is unsent and sends RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
