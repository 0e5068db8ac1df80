# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history of a channel: one JSON line for each time its link was turned."""

from __future__ import annotations

import datetime
import json
import os
import pwd
import socket
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import append_line, make_directories


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


def record(root: str, channel: str, entry: dict[str, Any], when: float) -> None:
    """Add an entry, flushed."""
    path = history_path(root, channel)
    make_directories(os.path.dirname(path), 0o700)
    at = datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    append_line(path, json.dumps({"at": at, **entry, "by": operator()}, sort_keys=True).encode("ascii"), 0o600)


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
