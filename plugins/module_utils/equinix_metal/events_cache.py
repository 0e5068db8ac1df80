# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What machines have said of themselves, kept for some time: a call for each machine, and the same answer until it boots again.

Only what was read whole of a machine that has published a host key is kept. One that boots, or of which something made no sense,
is asked anew each time. What is used of it is never newer than it says: a reading is as old as the oldest part of it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import marked_file, values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence

Kept = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class EventsCache:
    """Where it is kept, for which settings, and for how long."""

    path: str
    mark: str
    seconds: float
    now: Callable[[], datetime.datetime] = values.utc_now

    def load(self) -> Kept:
        """What is young enough, by the machine's id. Without a file that makes sense, nothing."""
        data = marked_file.load(self.path, self.mark)
        entries = data if isinstance(data, dict) else {}
        oldest = self.now() - datetime.timedelta(seconds=self.seconds)
        return {name: entry for name, entry in entries.items() if _is_sound(entry, oldest, self.now())}

    def save(self, machines: Iterable[Mapping[str, Any]]) -> None:
        """Keep what can be used again of a complete reading, and of machines that are gone nothing."""
        entries = {
            machine["device"]["id"]: {"evidence": machine["evidence"], "read_at": machine["events_read_at"]}
            for machine in machines
            if _is_settled(machine)
        }
        marked_file.save(self.path, self.mark, entries)


def _is_settled(machine: Mapping[str, Any]) -> bool:
    evidence = machine["evidence"]
    told = evidence["endpoints"] and evidence["description"]  # two events, one after the other
    return bool(evidence["booting"] is False and told and not evidence["problems"])


def _is_sound(entry: Any, oldest: datetime.datetime, newest: datetime.datetime) -> bool:
    read_at = values.moment(values.inner(entry, "read_at"))
    evidence = values.inner(entry, "evidence")
    fields = {field.name for field in dataclasses.fields(Evidence)}
    return isinstance(evidence, dict) and set(evidence) == fields and read_at is not None and oldest < read_at <= newest
