# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the listening side finds its peer among whoever comes."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import queue
import socket
import syslog
import threading
from collections.abc import Iterator

from . import limits, tls
from .errors import StreamError
from .protocol import Channel, Place, greet
from .timing import Deadline
from .tls import Identity

MAX_REFUSALS = 20


class Listener:
    """A port that one peer is awaited on; whoever else comes is refused, noted, and changes nothing."""

    def __init__(
        self, ports: range, address: str, identity: Identity, role: str, overall: Deadline, server: bool = True
    ) -> None:
        self._identity = identity
        self._server = server  # in TLS; where both sides listen, one of them has to be the client
        self._context = tls.context(identity, server)
        self._role = role
        self._overall = overall
        self._found: queue.Queue[tuple[Place, Channel]] = queue.Queue()
        self._places = threading.BoundedSemaphore(limits.MAX_HANDSHAKES)
        self._socket = _bind(ports, address)
        self._open = True
        self.port: int = self._socket.getsockname()[1]
        self.refused: list[dict[str, str]] = []
        self.refused_count = 0

    def wait_for_peer(self, deadline: Deadline, stopped: threading.Event | None = None) -> Channel:
        """The peer's connection, which leads the others. The port is closed as soon as all are there."""
        threading.Thread(target=self._accept, daemon=True).start()
        found: dict[Place, Channel] = {}
        try:
            while not (stopped and stopped.is_set()):
                with contextlib.suppress(queue.Empty):
                    place, channel = self._found.get(timeout=min(1.0, deadline.remaining()))
                    _keep(found, place, channel)
                    if len(found) == place.total:
                        return _lead(found)
                if not deadline.remaining():
                    break
            strangers = f" ({self.refused_count} strangers were refused)" if self.refused_count else ""
            raise StreamError(
                f"the other side did not come to port {self.port} within {deadline.seconds:g} seconds{strangers}"
            )
        except StreamError:
            for channel in found.values():
                channel.close()
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Listen no more."""
        self._open = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept() up
        self._socket.close()

    def _accept(self) -> None:
        while self._open:
            try:
                raw, address = self._socket.accept()
            except OSError:
                return
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._examine, args=(raw, _plain(address[0])), daemon=True).start()
            else:
                raw.close()
                self._refuse(_plain(address[0]), "too many connections at once")

    def _examine(self, raw: socket.socket, address: str) -> None:
        try:
            raw.settimeout(limits.HANDSHAKE_SECONDS)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secured = tls.secure(raw, self._context, self._identity, self._server)
            channel = Channel(secured, address, limits.HANDSHAKE_SECONDS, self._overall)
            place = greet(channel, self._role)
            if self._open:
                self._found.put((place, channel))
            else:
                channel.close()
        except (StreamError, OSError) as problem:
            raw.close()
            self._refuse(address, str(problem))
        finally:
            self._places.release()

    def _refuse(self, address: str, reason: str) -> None:
        self.refused_count += 1
        syslog.syslog(syslog.LOG_WARNING, f"artifact_stream refused a connection from {address}: {reason}")
        if len(self.refused) < MAX_REFUSALS:
            self.refused.append({"address": address, "reason": reason})


def _keep(found: dict[Place, Channel], place: Place, channel: Channel) -> None:
    """Note a connection. A peer that lost some of its connections begins anew, maybe with another number of them."""
    for known in list(found):
        if known == place or known.total != place.total:
            found.pop(known).close()
    found[place] = channel


def _lead(found: dict[Place, Channel]) -> Channel:
    first, *others = (channel for _place, channel in sorted(found.items(), key=lambda item: item[0]))
    first.lead(others)
    return first


def own_addresses(peers: list[str]) -> list[str]:
    """The addresses of this host that face the given ones: what a peer behind them would find this host at."""
    found: list[str] = []
    for peer in peers:
        with contextlib.suppress(OSError):
            found_addresses = socket.getaddrinfo(peer, 9, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
            for family, kind, _protocol, _name, target in found_addresses:
                with socket.socket(family, kind) as probe:
                    probe.connect(target)  # sends nothing: it only asks the routing table
                    found.append(str(probe.getsockname()[0]))
    return list(dict.fromkeys(found))


def _bind(ports: range, address: str) -> socket.socket:
    """Listen on the first free port, on one address where it is this host's own, else on all."""
    reasons: list[str] = []
    for port in ports:
        with _noting(reasons):
            return _bind_port(address, port)
    wanted = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    raise StreamError(f"ports: none of {wanted} can be listened on ({reasons[-1]}); set ports to free ones")


@contextlib.contextmanager
def _noting(reasons: list[str]) -> Iterator[None]:
    """Turn an error into the reason for trying the next possibility."""
    try:
        yield
    except (StreamError, OSError) as problem:
        reasons.append(str(problem))


def _bind_port(address: str, port: int) -> socket.socket:
    if _is_literal(address):
        try:
            return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        except OSError as problem:
            if problem.errno != errno.EADDRNOTAVAIL:
                raise
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _is_literal(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _plain(address: str) -> str:
    """An IPv4 address as such, also where it came through an IPv6 socket."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address
