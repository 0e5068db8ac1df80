# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a build is, counted from Nix's internal-json log as Nix's own progress bar counts (src/libmain/progress-bar.cc)."""

from __future__ import annotations

import collections
import dataclasses
import time
from typing import Any

from . import store
from .command import Event

# Numbers of Nix's logger (src/libutil/logging.hh).
COPY_PATH, COPY_PATHS, BUILDS, BUILD, BUILD_WAITING = 100, 103, 104, 105, 109
PROGRESS, SET_EXPECTED = 105, 106
NAMES = 3


@dataclasses.dataclass
class Activity:
    """One thing that Nix does at the time."""

    kind: int
    name: str
    done: int = 0
    expected: int = 0
    expected_by_kind: dict[int, int] = dataclasses.field(default_factory=dict)


class BuildProgress:
    """Takes the events of a log, one by one."""

    def __init__(self) -> None:
        self._activities: dict[int, Activity] = {}
        self._done: collections.Counter[int] = collections.Counter()
        self._expected: collections.Counter[int] = collections.Counter()
        self._began = time.monotonic()

    def take(self, event: Event) -> None:
        """Count one event in."""
        handler = {"start": self._start, "stop": self._stop, "result": self._result}.get(event.get("action", ""))
        if handler:
            handler(event)

    def shown(self) -> dict[str, Any]:
        """The numbers so far."""
        built, to_build = self._sum(BUILDS)
        copied, to_copy = self._sum(COPY_PATHS)
        bytes_done, bytes_total = self._sum(COPY_PATH)
        # The kernel may switch threads while the log is read: a copy holds still.
        running = [item for item in list(self._activities.values()) if item.kind in (BUILD, COPY_PATH, BUILD_WAITING)]
        return {
            "built": built,
            "to_build": to_build,
            "copied": copied,
            "to_copy": to_copy,
            "bytes_done": bytes_done,
            "bytes_total": bytes_total,
            "names": list(dict.fromkeys(item.name for item in running))[:NAMES],
            "running": len(running),
            "waiting": bool(running) and all(item.kind == BUILD_WAITING for item in running),
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def _start(self, event: Event) -> None:
        fields = event.get("fields") or [""]
        kind = int(event.get("type", 0))
        subject = str(fields[0]) or str(event.get("text", ""))
        self._activities[event["id"]] = Activity(kind, _name(subject))

    def _stop(self, event: Event) -> None:
        activity = self._activities.pop(event["id"], None)
        if activity is None:
            return
        self._done[activity.kind] += activity.done
        for kind, expected in activity.expected_by_kind.items():
            self._expected[kind] -= expected

    def _result(self, event: Event) -> None:
        activity = self._activities.get(event["id"])
        fields = event.get("fields") or []
        if activity is None:
            return
        if event.get("type") == PROGRESS and len(fields) >= 2:
            activity.done, activity.expected = int(fields[0]), int(fields[1])
        elif event.get("type") == SET_EXPECTED and len(fields) == 2:
            kind, expected = int(fields[0]), int(fields[1])
            self._expected[kind] += expected - activity.expected_by_kind.get(kind, 0)
            activity.expected_by_kind[kind] = expected

    def _sum(self, kind: int) -> tuple[int, int]:
        running = [item for item in list(self._activities.values()) if item.kind == kind]
        finished = self._done[kind]
        done = finished + sum(item.done for item in running)
        expected = finished + sum(item.expected for item in running)
        return done, max(expected, self._expected[kind])


def _name(subject: str) -> str:
    """What a human calls it: the name of a store path, without what makes it unique."""
    if not subject.startswith("/"):
        return subject
    name = store.name_of(subject)
    return name[: -len(".drv")] if name.endswith(".drv") else name
