# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the connecting side reaches the one that listens: over as many connections as the way is long."""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
import time

from . import limits, tls
from .errors import PeerGoneError, StreamError
from .protocol import Channel, Place, greet
from .timing import Deadline
from .tls import Identity

RTT = slice(68, 72)


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the listening side may be found, and over how many connections it is to be spoken with; 0: as it is far."""

    addresses: tuple[str, ...]
    port: int
    connections: int = 1


def connect(target: Target, identity: Identity, role: str, soon: Deadline, overall: Deadline) -> Channel:
    """Reach the listening side at the first of its addresses that answers with the right certificate."""
    caller = Caller(identity, role, overall)
    pause = threading.Event()
    while True:
        tried: dict[str, str] = {}
        for address in target.addresses:
            limit = min(limits.HANDSHAKE_SECONDS, soon.remaining() / max(1, len(target.addresses) - len(tried)))
            try:
                return caller.call(address, target, max(limit, 0.1))
            except (StreamError, OSError) as problem:
                tried[address] = str(problem)
        if soon.remaining() < 1:
            reasons = "; ".join(f"{address}: {reason}" for address, reason in tried.items())
            raise PeerGoneError(
                f"port {target.port} of the other side was not reached within {soon.seconds:g} seconds ({reasons}). "
                "Open such a port in the firewall (ports), let the other side listen (listen), or go via: controller"
            )
        pause.wait(0.5)


class Caller:
    """The connecting side."""

    def __init__(self, identity: Identity, role: str, overall: Deadline) -> None:
        self._identity = identity
        self._context = tls.context(identity, server=False)
        self._role = role
        self._overall = overall

    def call(self, address: str, target: Target, limit: float) -> Channel:
        """All connections to one address, led by the first."""
        begun = time.monotonic()
        raw = socket.create_connection((address, target.port), timeout=limit)
        is_far = _round_trip(raw, time.monotonic() - begun) > limits.FAR_SECONDS
        count = target.connections or (limits.FAR_CONNECTIONS if is_far else 1)
        first = self._enter(raw, address, Place(0, count))
        others: list[Channel] = []
        try:
            for index in range(1, count):
                raw = socket.create_connection((address, target.port), timeout=limit)
                others.append(self._enter(raw, address, Place(index, count)))
        except (StreamError, OSError):
            for channel in (first, *others):
                channel.close()
            raise
        first.lead(others)
        return first

    def _enter(self, raw: socket.socket, address: str, place: Place) -> Channel:
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secured = tls.secure(raw, self._context, self._identity, server=False)
            channel = Channel(secured, address, limits.HANDSHAKE_SECONDS, self._overall)
            greet(channel, self._role, place)
        except (StreamError, OSError):
            raw.close()
            raise
        return channel


def _round_trip(raw: socket.socket, seconds: float) -> float:
    """Seconds to the peer and back: as the kernel counted them, which a busy host does not stretch, else as seen here."""
    if sys.platform == "linux":
        info = raw.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, RTT.stop
        )  # struct tcp_info, tcpi_rtt in microseconds
        if len(info) == RTT.stop:
            return int.from_bytes(info[RTT], sys.byteorder) / 1e6
    return seconds
