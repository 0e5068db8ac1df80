# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nix's log in its internal-json format: what was built and fetched, and what failed with which last words."""

from __future__ import annotations

import collections
import json
import re
from typing import Callable

from .command import Event
from .errors import RETRYING, UNREACHABLE, plain

PREFIX = "@nix "
# Numbers of Nix's logger (src/libutil/logging.hh), the same in 2.8, 2.26 and 2.34.
COPY_PATH = 100
BUILD = 105
SUBSTITUTE = 108
BUILD_LOG_LINE = 101
POST_BUILD_LOG_LINE = 107
ERROR = 0

# "1 dependencies of derivation 'X.drv' failed to build" says 2.26, "Cannot build 'X.drv'. Reason: 1 dependency failed." 2.34.
DERIVATION = re.compile(
    r"(?P<before>dependencies of (?:derivation )?)?'(?P<path>/\S+?\.drv)(?P<after>'\.\s+Reason: \d+ dependenc)?"
)


class BuildLog:
    """Reads a log; asks nothing of Nix."""

    def __init__(self, text: str = "", keep: int = 40, watch: Callable[[Event], None] | None = None) -> None:
        self._keep = keep
        self._watch = watch
        self._building: dict[int, str] = {}
        self._logs: dict[str, collections.deque[str]] = {}
        self.built: list[str] = []
        self.fetched: list[str] = []
        self.copied: list[str] = []
        self.errors: list[str] = []
        self.unreachable: list[str] = []
        self.others: collections.deque[str] = collections.deque(maxlen=5)
        for line in text.splitlines():
            self.line(line)

    @property
    def failed(self) -> list[str]:
        """Derivations that failed themselves, not for want of a dependency."""
        matches = (match for error in self.errors for match in DERIVATION.finditer(error))
        return list(dict.fromkeys(match["path"] for match in matches if not (match["before"] or match["after"])))

    @property
    def words(self) -> str:
        """What went wrong, as Nix and ssh say it."""
        return "\n".join([*self.errors, *self.unreachable, *self.others])

    def tail(self, derivation: str) -> list[str]:
        """The last lines that a build printed."""
        return list(self._logs.get(derivation, ()))

    def line(self, line: str) -> None:
        """Take the next line."""
        if not line.startswith(PREFIX):
            # What was said before Nix's logger stood, and what ssh says.
            self.others.append(plain(line))
            return
        try:
            event = json.loads(line[len(PREFIX) :])
        except ValueError:
            return
        if self._watch:
            self._watch(event)
        handler = {"start": self._start, "result": self._result, "msg": self._message}.get(event.get("action"))
        if handler:
            handler(event)

    def _start(self, event: Event) -> None:
        fields = event.get("fields") or [""]
        kind, subject = event.get("type"), str(fields[0])
        if kind == BUILD:
            self._building[event["id"]] = subject
            self._logs[subject] = collections.deque(maxlen=self._keep)
            self._add(self.built, subject)
        elif kind == SUBSTITUTE:
            self._add(self.fetched, subject)
        elif kind == COPY_PATH:
            self._add(self.copied, subject)

    def _result(self, event: Event) -> None:
        if event.get("type") in (BUILD_LOG_LINE, POST_BUILD_LOG_LINE) and event.get("id") in self._building:
            self._logs[self._building[event["id"]]].append(plain(str(event["fields"][0])))

    def _message(self, event: Event) -> None:
        text = plain(str(event.get("raw_msg") or event.get("msg")))
        # Nix tries such a cache some times, only warns, and goes on without it.
        if UNREACHABLE in text and RETRYING not in text:
            self._add(self.unreachable, text[text.index(UNREACHABLE) :])
        # Nix 2.8 gives some warnings the level of errors.
        elif event.get("level") == ERROR and not text.startswith("warning:"):
            self.errors.append(text)

    @staticmethod
    def _add(known: list[str], item: str) -> None:
        if item not in known:
            known.append(item)
