# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history of a channel: one JSON line for each time its link was turned."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import (
    append_line,
    make_directories,
    write_atomic,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, stamp


def history_path(root: str, channel: str) -> str:
    """Where the history is kept."""
    return os.path.join(root, ".state", "history", channel + ".jsonl")


def read_history(root: str, channel: str) -> list[dict[str, Any]]:
    """The entries, oldest first. A line that a crash cut short is left out."""
    try:
        with open(history_path(root, channel), "rb") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return []
    return [entry for entry in map(_entry, lines) if entry is not None]


def intend(root: str, scratch: str, channel: str, entry: dict[str, Any]) -> None:
    """Note what is about to be done, so that a writer that dies right after turning the link is told for what it was."""
    path = _intention_path(root, channel)
    make_directories(os.path.dirname(path), 0o700)
    write_atomic(path, json.dumps(entry, sort_keys=True).encode("ascii"), 0o600, scratch=scratch)


def intention(root: str, channel: str) -> dict[str, Any]:
    """What was noted last and not yet forgotten."""
    try:
        with open(_intention_path(root, channel), "rb") as stream:
            return _entry(stream.read()) or {}
    except FileNotFoundError:
        return {}


def forget_intention(root: str, channel: str) -> None:
    """It is in the history now."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_intention_path(root, channel))


def _intention_path(root: str, channel: str) -> str:
    return os.path.join(root, ".state", "turning", channel + ".json")


def record(root: str, channel: str, entry: dict[str, Any], when: float) -> None:
    """Add an entry, flushed. Who did it is the entry's own "by", or else whoever runs this."""
    path = history_path(root, channel)
    make_directories(os.path.dirname(path), 0o700)
    line = json.dumps({"by": operator(), **entry, "at": stamp(when)}, sort_keys=True)
    append_line(path, line.encode("ascii"), 0o600)


def release_before(history: list[dict[str, Any]], active: str) -> str | None:
    """The release that was active before this one, as one takes steps back: a rollback goes past what it left.

    Published A, B, C and rolled back once, the channel runs B, and the next step back leads to A, not to C again.
    """
    steps: list[str] = []
    for entry in history:
        release_id = str(entry.get("release_id"))
        if entry.get("action") == "rollback" and release_id in steps:
            del steps[_last(steps, release_id) + 1 :]
        elif not steps or steps[-1] != release_id:
            steps.append(release_id)
    if active not in steps:
        return steps[-1] if steps else None
    end = _last(steps, active)
    earlier = [step for step in steps[:end] if step != active]
    return earlier[-1] if earlier else None


def active_since(history: list[dict[str, Any]], since: float) -> set[str]:
    """The releases that were active at any time from then on. An entry without a time counts as recent."""
    recent: set[str] = set()
    before: str | None = None
    for entry in history:
        at = parse(entry.get("at"))
        if at is None or at >= since:
            recent.update(str(name) for name in (before, entry.get("release_id")) if name)
        before = str(entry.get("release_id"))
    return recent | ({before} if before else set())


def last_turns(history: list[dict[str, Any]]) -> dict[str, int]:
    """The number of the entry with which each release was made active last. Times alone are equal within a second."""
    return {str(entry.get("release_id")): number for number, entry in enumerate(history)}


def _last(steps: list[str], release_id: str) -> int:
    return len(steps) - 1 - steps[::-1].index(release_id)


def operator() -> str:
    """Who runs this, as far as the host knows: the login behind sudo, if there is one."""
    name = os.environ.get("SUDO_USER")
    if not name:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
