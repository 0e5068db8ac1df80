# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a transfer counts, whichever thread it is done by."""

from __future__ import annotations

import dataclasses
import threading
import time


@dataclasses.dataclass
class Progress:
    """Bytes and files of one side."""

    bytes_total: int = 0  # what has to come into place: sent, borrowed and resumed
    bytes_sent: int = 0  # over the wire
    bytes_resumed: int = 0  # kept from an interrupted transfer
    bytes_reused: int = 0  # borrowed as pieces from other files here
    files_sent: int = 0  # files that came into place
    started: float = dataclasses.field(default_factory=time.monotonic)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    @property
    def seconds(self) -> float:
        """Time since the work began."""
        return time.monotonic() - self.started

    def begin(self, total: int) -> None:
        """The work begins: nothing but it is timed."""
        self.bytes_total = total
        self.started = time.monotonic()

    def count(self, sent: int = 0, reused: int = 0) -> None:
        """So many bytes more."""
        with self.lock:
            self.bytes_sent += sent
            self.bytes_reused += reused

    def shown(self) -> dict[str, float]:
        """The numbers so far."""
        done = self.bytes_sent + self.bytes_resumed + self.bytes_reused
        return {
            "bytes_done": done,
            "bytes_total": self.bytes_total,
            "bytes_sent": self.bytes_sent,
            "seconds": round(self.seconds, 3),
        }
