# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notices of the provider that it will take machines back, and the coordinator's memory of them, a JSON object a line."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import append_line, make_directories
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import is_near
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.pauses import parse_reclaims
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp

FIELDS = ("at", "device_id", "plan", "metro", "termination_time")

Json = Mapping[str, Any]


def due(notices: Iterable[Json], until: float) -> list[Json]:
    """The notices of machines that go before then, in seconds since the epoch."""
    return [notice for notice in notices if is_near(notice["termination_time"], until)]


def reasons_of(notices: Iterable[Json]) -> dict[str, str]:
    """Why each machine goes, by id."""
    return {notice["device_id"]: f"will be reclaimed at {notice['termination_time']}" for notice in notices}


def entries_of(notices: Iterable[Json], hosts: Iterable[Json], now: float) -> list[dict[str, str]]:
    """What is remembered of the notices. One for a machine whose plan and metro nobody knows counts for nothing, and is left out."""
    known = {host["builder_id"]: host for host in hosts if host.get("builder_plan") and host.get("builder_location")}
    return [
        {
            "at": stamp(now),
            "device_id": notice["device_id"],
            "plan": str(known[notice["device_id"]]["builder_plan"]),
            "metro": str(known[notice["device_id"]]["builder_location"]),
            "termination_time": notice["termination_time"],
        }
        for notice in notices
        if notice["device_id"] in known
    ]


def remember_reclaims(path: str, entries: Sequence[Json], check_mode: bool = False) -> list[str]:
    """Add those of which nothing is remembered yet. The ids of these."""
    for entry in entries:
        lacking = [name for name in FIELDS if not isinstance(entry.get(name), str) or not entry[name]]
        if lacking:
            raise FleetError(f"a reclaim of {entry.get('device_id')} lacks {', '.join(lacking)}")
    if not check_mode:
        make_directories(os.path.dirname(path))
    with _locked(path, check_mode):
        known = {entry["device_id"] for entry in _read(path)}
        new = {entry["device_id"]: entry for entry in entries if entry["device_id"] not in known}
        for entry in new.values() if not check_mode else ():
            line = json.dumps({name: entry[name] for name in FIELDS}, sort_keys=True)
            append_line(path, line.encode("ascii"))
        return sorted(new)


def _read(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as stream:
            return parse_reclaims(stream.read())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _locked(path: str, check_mode: bool) -> Iterator[None]:
    if check_mode:
        yield
        return
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
