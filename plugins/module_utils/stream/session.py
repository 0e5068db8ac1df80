# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One side of one transfer, from its module's arguments: listen or connect, then send or receive in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from . import background, calling, limits, protocol, rendezvous
from .background import Answer, Report, Settings
from .calling import Target
from .control import ask
from .errors import StreamError
from .progress import Progress
from .protocol import Channel
from .rendezvous import Listener
from .timing import Deadline
from .tls import Identity

Work = Callable[[Channel, Progress], Answer]
LINGER_MARGIN = 30.0  # seconds: the controller's last try, begun just in time, has to reconnect and to run a module


class Session:
    """What both sides do alike."""

    def __init__(self, role: str, params: Mapping[str, Any]) -> None:
        self._role = role
        self._params = params
        if not 0 <= params["connections"] <= limits.MAX_CONNECTIONS:
            raise StreamError(f"connections: {params['connections']} is not within 0-{limits.MAX_CONNECTIONS}")
        self._identity = Identity(params["certificate"], params["private_key"], params["peer_certificate"])
        asked_for = role == "receiver" or params["operation"] == "listen"
        name = f"{params['transfer']}-{role}"
        # The controller looks for this host again for as long as silence_timeout: the outcome is still here then.
        linger = max(params["connect_timeout"], params["silence_timeout"]) + LINGER_MARGIN
        self._settings = Settings(name, params["token"], params["timeout"], linger, asked_for)
        self._progress = Progress()

    def listen(self, work: Work) -> Answer:
        """Wait for the peer in the background; the answer says where."""
        first, last = parse_ports(self._params["ports"])
        address = self._params["address"] or ""

        def body(report: Report, stopped: threading.Event) -> Answer:
            overall = Deadline(self._params["timeout"], "the transfer")
            server = not self._params["tls_client"]
            listener = Listener(range(first, last + 1), address, self._identity, self._role, overall, server)
            report({"port": listener.port, "addresses": rendezvous.own_addresses(self._params["peers"])})
            channel = listener.wait_for_peer(
                Deadline(self._params["connect_timeout"], "the wait for the peer"), stopped
            )
            result = self._run(channel, work, stopped)
            return {**result, "refused": listener.refused, "refused_count": listener.refused_count}

        return background.start(self._settings, self._progress, body, patience=10)

    def connect(self, work: Work) -> Answer:
        """Reach the listening peer; the answer comes once both have greeted, the work goes on in the background."""
        target = Target(tuple(self._params["peers"]), self._params["port"], self._params["connections"])
        seconds = self._params["connect_timeout"]

        def body(report: Report, stopped: threading.Event) -> Answer:
            overall = Deadline(self._params["timeout"], "the transfer")
            channel = calling.connect(target, self._identity, self._role, Deadline(seconds, "connecting"), overall)
            report({"peer": channel.address, "tls": channel.describe()})
            return self._run(channel, work, stopped)

        return background.start(self._settings, self._progress, body, patience=seconds)

    def _run(self, channel: Channel, work: Work, stopped: threading.Event) -> Answer:
        channel.silence = self._params["silence_timeout"]
        described = channel.describe()
        threading.Thread(target=_close_when, args=(stopped, channel), daemon=True).start()
        try:
            result = work(channel, self._progress)
        except (StreamError, OSError) as problem:
            if stopped.is_set():
                raise StreamError("the transfer was stopped by the controller") from problem
            protocol.last_word(channel, str(problem))
            raise
        finally:
            channel.close()
        return {**result, "tls": described, "peer": channel.address, "connections": len(channel.lanes)}


def wait(role: str, params: Mapping[str, Any], verb: str) -> Answer:
    """Ask the process of this side: C(wait) for its end, or C(stop) it."""
    return ask(f"{params['transfer']}-{role}", params["token"], verb, params["seconds"])


def parse_ports(text: str) -> tuple[int, int]:
    """C(0), one port or a range."""
    first, _dash, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError as problem:
        raise StreamError(f"ports: {text!r} is neither a port nor a range such as 40000-40010") from problem
    if not 0 <= low <= high <= 65535 or (low == 0 and high != 0):
        raise StreamError(f"ports: {text!r} is not within 1-65535 (or 0 for any free port)")
    return low, high


def _close_when(stopped: threading.Event, channel: Channel) -> None:
    """Break the connection as soon as the controller says stop: whatever waits for it wakes up."""
    stopped.wait()
    channel.abort()
