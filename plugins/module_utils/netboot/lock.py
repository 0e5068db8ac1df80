# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer at a time on a store: flock(2), which ends with its process, and a note of who holds it."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time
from collections.abc import Iterator

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import make_directories

from .errors import NetbootError
from .history import operator

PAUSE = 0.1


@contextlib.contextmanager
def store_lock(root: str, purpose: str, timeout: float) -> Iterator[None]:
    """Hold the store's lock; after timeout seconds the holder is named in the error."""
    state = os.path.join(root, ".state")
    make_directories(state, 0o700)
    descriptor = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(descriptor, root, timeout)
        _write(descriptor, {"by": operator(), "pid": os.getpid(), "purpose": purpose, "since": _now()})
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, root: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 1000, 0).decode("utf-8", "replace").strip() or "unknown"
                raise NetbootError(
                    f"another process still writes to the store {root} after {timeout:g} s: {holder}. Run again when "
                    "it has ended, or give lock_timeout more seconds; nothing was published."
                ) from error
        time.sleep(PAUSE)


def _write(descriptor: int, owner: dict[str, object]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner, sort_keys=True).encode("ascii") + b"\n", 0)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
