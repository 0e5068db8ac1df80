# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records in memory, written through to one SQLite file at the end of every request and every tick."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metal_lab.core.records import KINDS, Device, Event, Record, Reservation, SpotRequest, SshKey, to_json

# `place` keeps the order of creation over a restart; an upsert leaves it alone.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (place INTEGER PRIMARY KEY, kind TEXT, id TEXT, data TEXT, UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""
_KIND_OF: dict[type[Record], str] = {record_class: kind for kind, record_class in KINDS.items()}


class Store:
    """The only owner of records. What is changed in place must be marked with ``touch``."""

    def __init__(self, path: Path | None) -> None:
        self.devices: dict[str, Device] = {}
        self.spot_requests: dict[str, SpotRequest] = {}
        self.ssh_keys: dict[str, SshKey] = {}
        self.reservations: dict[str, Reservation] = {}
        self.facts: dict[str, Any] = {}
        self._events: dict[str, list[Event]] = {}
        self._dirty: dict[tuple[str, str], Record | None] = {}
        self._dirty_facts: set[str] = set()
        self._sequence = 0
        self._database = sqlite3.connect(str(path) if path else ":memory:", check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(_SCHEMA)
        self._load()

    def _load(self) -> None:
        for name, value in self._database.execute("SELECT name, value FROM facts"):
            self.facts[name] = json.loads(value)
        for kind, data in self._database.execute("SELECT kind, data FROM records ORDER BY place"):
            self._remember(KINDS[kind](**json.loads(data)))

    def _remember(self, record: Record) -> None:
        match record:
            case Device():
                self.devices[record.id] = record
            case SpotRequest():
                self.spot_requests[record.id] = record
            case SshKey():
                self.ssh_keys[record.id] = record
            case Reservation():
                self.reservations[record.id] = record
            case Event():
                self._sequence = max(self._sequence, record.sequence)
                self._events.setdefault(record.device_id, []).append(record)

    def add(self, record: Record) -> None:
        self._remember(record)
        self.touch(record)

    def touch(self, record: Record) -> None:
        """Say that a record changed."""
        self._dirty[(_KIND_OF[type(record)], record.id)] = record

    def forget(self, record: Record) -> None:
        """Drop a record; a device takes its events along."""
        self._dirty[(_KIND_OF[type(record)], record.id)] = None
        match record:
            case Device():
                del self.devices[record.id]
                for event in self._events.pop(record.id, []):
                    self._dirty[("event", event.id)] = None
            case SpotRequest():
                del self.spot_requests[record.id]
            case SshKey():
                del self.ssh_keys[record.id]
            case Reservation():
                del self.reservations[record.id]

    def events_of(self, device_id: str) -> list[Event]:
        """The device's events, oldest first."""
        return self._events.get(device_id, [])

    def all_events(self) -> Iterator[Event]:
        for events in self._events.values():
            yield from events

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def set_fact(self, name: str, value: Any) -> None:
        self.facts[name] = value
        self._dirty_facts.add(name)

    def commit(self) -> None:
        """Write what changed, in one transaction."""
        if not self._dirty and not self._dirty_facts:
            return
        dirty, self._dirty = self._dirty, {}
        facts, self._dirty_facts = self._dirty_facts, set()
        with self._database:
            for (kind, record_id), record in dirty.items():
                self._write(kind, record_id, record)
            for name in facts:
                self._database.execute("REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(self.facts[name])))

    def _write(self, kind: str, record_id: str, record: Record | None) -> None:
        if record is None:
            self._database.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, record_id))
            return
        self._database.execute(
            "INSERT INTO records (kind, id, data) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET data = excluded.data",
            (kind, record_id, json.dumps(to_json(record))),
        )

    def close(self) -> None:
        self.commit()
        self._database.close()
