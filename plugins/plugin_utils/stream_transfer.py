# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The course of one transfer, seen from the controller: what is run where, in which order, and what is said of failures."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from .bridge import LOOPBACK, bridge
from .certificates import make_key_pair
from .second_host import Side

SEND = "nixmetal.builders.artifact_stream_send"
RECEIVE = "nixmetal.builders.artifact_stream_receive"
ANSWER_SECONDS = 45.0  # for a module to start and answer on a busy host
PAUSE = 0.5  # seconds before a broken connection is taken up again
HANDED_ON = ("layout", "address", "ports", "connections", "connect_timeout", "silence_timeout", "timeout")
Result = dict[str, Any]


class Transfer:
    """One directory from one host to another."""

    def __init__(self, source: Side, destination: Side, options: Result, say: Callable[[Result], None]) -> None:
        self._source = source
        self._destination = destination
        self._options = options
        self._say = say
        self._transfer = secrets.token_hex(12)
        hours = options["timeout"] / 3600
        self._keys = {role: make_key_pair(f"nixmetal stream {role}", hours) for role in ("sender", "receiver")}
        self._token = secrets.token_hex(32)
        self._manifest = ""
        self._started = False

    def run(self, check_mode: bool) -> Result:
        """Do all of it."""
        prepared = self._send("prepare")
        self._manifest = prepared["manifest"]
        first = "plan" if self._way == "source" else "listen"
        try:
            plan = self._receive(first, **self._hints(self._source))
            if not plan["files_lacking_count"] or check_mode:
                return self._result(plan, {})
            outcome = self._bridge(plan) if self._way == "controller" else self._carry(plan)
            return self._result(plan, outcome)
        except BaseException:
            self._stop()
            raise

    @property
    def manifest(self) -> str:
        """The manifest's text."""
        return self._manifest

    @property
    def _way(self) -> str:
        """Who listens: one of the hosts, or both because the controller joins them."""
        both_local = self._source.is_local and self._destination.is_local
        return str(self._options["listen"] if both_local or self._options["via"] == "direct" else "controller")

    def _bridge(self, plan: Result) -> Result:
        listening = self._send("listen", tls_client=True)
        with bridge((self._source, listening["port"]), (self._destination, plan["port"])) as words:
            outcome = self._wait()
            if outcome.get("failed"):
                text, said = self._combine(outcome), words()
                self._fail(
                    self._destination, f"{text}. SSH through the controller says: {said}" if said else text, outcome
                )
        outcome["refused"] = outcome.get("refused", []) + self._refused_by_sender()
        return outcome

    def _carry(self, plan: Result) -> Result:
        if self._way == "destination":
            peers = self._candidates(self._destination, plan)
            self._send("connect", peers=peers, port=plan["port"])
        else:
            listening = self._send("listen", **self._hints(self._destination))
            peers = self._candidates(self._source, listening)
            self._receive("connect", peers=peers, port=listening["port"])
        outcome = self._wait()
        if outcome.get("failed"):
            self._fail(self._destination, self._combine(outcome), outcome)
        if self._way == "source":  # whoever listens knows who else came
            outcome["refused"] = self._refused_by_sender()
        return outcome

    def _refused_by_sender(self) -> list[Result]:
        """Whom a listening sender refused. It waits for being asked, and ends then."""
        return list(self._send("wait", seconds=10.0).get("outcome", {}).get("refused", []))

    def _wait(self) -> Result:
        """Wait for the receiver's end, and tell how far it is. A connection that breaks is taken up again."""
        seconds = 2.0
        last_seen = time.monotonic()
        while True:
            try:
                answer = self._receive("wait", seconds=seconds)
            except AnsibleConnectionFailure:
                if time.monotonic() - last_seen > self._options["silence_timeout"]:
                    raise
                time.sleep(PAUSE)
                self._destination.reset()
                continue
            last_seen = time.monotonic()
            if answer["finished"]:
                return dict(answer["outcome"])
            self._say(answer["progress"])
            seconds = min(10.0, seconds * 1.5)

    def _combine(self, outcome: Result) -> str:
        """What the receiver says, and what the sender knows better."""
        text = str(outcome["msg"])
        words = str(self._end(self._source, SEND).get("outcome", {}).get("msg", ""))
        echo = not words or words in text or text in words
        return text if echo else f"{text}. {self._source.name} says: {words}"

    def _stop(self) -> None:
        """End what was begun on either host; each would end by itself at its time limit."""
        if not self._started:
            return
        self._end(self._destination, RECEIVE)
        self._end(self._source, SEND)

    def _end(self, side: Side, module: str) -> Result:
        """Make one side's process end, as far as its host can be reached; the answer is what it says."""
        try:
            side.reset()  # the connection may be what broke
            return side.run(module, ANSWER_SECONDS, operation="stop", seconds=5.0, **self._common())
        except AnsibleConnectionFailure:
            return {}

    def _send(self, operation: str, **more: Any) -> Result:
        more.update(src=self._options["src"], bandwidth_limit=self._options["bandwidth_limit"])
        return self._step(self._source, SEND, "sender", operation, more)

    def _receive(self, operation: str, **more: Any) -> Result:
        more.update(dest=self._options["dest"])
        return self._step(self._destination, RECEIVE, "receiver", operation, more)

    def _step(self, side: Side, module: str, role: str, operation: str, more: Result) -> Result:
        if operation in ("listen", "connect"):
            self._started = True
            other = "sender" if role == "receiver" else "receiver"
            more.update(
                certificate=self._keys[role].certificate,
                private_key=self._keys[role].private_key,
                peer_certificate=self._keys[other].certificate,
            )
        if operation in ("plan", "listen", "connect"):
            more["manifest"] = self._manifest
        try:
            result = side.run(module, self._patience(operation, more), operation=operation, **self._common(), **more)
        except AnsibleConnectionFailure as problem:
            if side is self._destination:
                raise  # the task's own host: Ansible knows what to do with an unreachable one
            raise AnsibleActionFail(f"{side.name}: the source host is unreachable: {problem}") from problem
        if result.get("failed"):
            self._fail(side, str(result.get("msg", "the module failed without a word")), result)
        return result

    def _patience(self, operation: str, more: Result) -> float:
        """How long a step may take: those that read files as long as the transfer."""
        if operation in ("prepare", "plan", "listen"):
            return float(self._options["timeout"])
        more_seconds: float = more["seconds"] if operation == "wait" else self._options["connect_timeout"]
        return ANSWER_SECONDS + more_seconds

    def _common(self) -> Result:
        handed = {name: self._options[name] for name in HANDED_ON if self._options[name] is not None}
        if self._way == "controller":
            handed["address"] = LOOPBACK
        elif self._options["bandwidth_limit"] and not handed["connections"]:
            handed["connections"] = 1
        return {**handed, "transfer": self._transfer, "token": self._token}

    def _fail(self, side: Side, text: str, result: Result | None = None) -> None:
        details = {key: value for key, value in (result or {}).items() if key in ("exception", "traceback")}
        raise AnsibleActionFail(f"{side.name}: {text}", result=details)

    def _hints(self, connecting: Side) -> Result:
        """What helps the listening side to tell which of its addresses the other one would find."""
        return {"peers": [] if connecting.is_local else _literal(connecting.address)}

    def _candidates(self, listening: Side, answer: Result) -> list[str]:
        """Addresses to try, the most likely first. A stranger behind one of them cannot show the certificate."""
        if self._options["address"]:
            return [self._options["address"]]
        both_local = self._source.is_local and self._destination.is_local
        same = both_local or self._source.address == self._destination.address
        found = ["127.0.0.1"] if same else []
        if not listening.is_local:
            found.append(listening.address)
        return list(dict.fromkeys(found + answer["addresses"])) or ["127.0.0.1"]

    def _result(self, plan: Result, outcome: Result) -> Result:
        lacking = plan["bytes_lacking"]
        return {
            "changed": outcome.get("changed", plan["changed"]),
            "bytes_sent": outcome.get("bytes_sent", 0),
            "bytes_resumed": outcome.get("bytes_resumed", 0),
            "bytes_reused": outcome.get("bytes_reused", 0),
            "bytes_skipped": plan["bytes_total"] - lacking,
            "bytes_to_send": 0 if outcome else lacking - plan["bytes_resumable"],
            "files_sent": outcome.get("files_sent", 0),
            "files_skipped": plan["files_total"] - plan["files_lacking_count"],
            "files": plan["files_lacking"],
            "seconds": outcome.get("seconds", 0.0),
            "rate": round(outcome.get("bytes_sent", 0) / outcome["seconds"]) if outcome.get("seconds") else 0,
            "tls": outcome.get("tls", {}),
            "connections": outcome.get("connections", 0),
            "refused": outcome.get("refused", []),
        }


def _literal(address: str) -> list[str]:
    """The numbers behind a name, as the controller knows them."""
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(item[4][0]) for item in found))
