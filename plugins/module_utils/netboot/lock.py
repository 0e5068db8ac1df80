# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer at a time on a store, also when several machines share it.

Two things are held together. flock(2) on ROOT/.state/lock ends with its process, so that a killed writer stops nobody. But
it need not reach another machine that has the same file system mounted (NFS with local locks, FUSE). So a writer also
claims ROOT/.state/lock.owner, a file that comes to be by link(2), which is atomic on every file system: it names the
lock, its owner, and since when.

A claim that was left behind by a writer on this running system is certainly stale for whoever has the flock. Of one that
another system left nothing is known, so it stands until the operator breaks it by its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import (
    make_directories,
    sync_directory,
    write_new,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.claim import read_claim
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, stamp

from .errors import NetbootError
from .history import operator

PAUSE = 0.1
LOCK_ID = re.compile(r"[0-9a-f]{8}")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class StoreLock:
    """A lock that is held."""

    def __init__(self, root: str, lock_id: str) -> None:
        self._root = root
        self.lock_id = lock_id

    def confirm(self) -> None:
        """Refuse to go on when somebody broke the lock meanwhile: call it before what cannot be taken back."""
        owner = read_owner(self._root)
        if owner is None or owner.get("lock_id") != self.lock_id:
            raise NetbootError(
                f"the lock {self.lock_id} on the store {self._root} was broken while this run held it, so it stops here. "
                "Look at what the other run did, and run again."
            )


def owner_path(root: str) -> str:
    """Where it stands who holds the lock."""
    return os.path.join(root, ".state", "lock.owner")


def removal_path(root: str, lock_id: object) -> str:
    """What is there while somebody takes that claim away."""
    return f"{owner_path(root)}.removed-{hashlib.sha256(str(lock_id).encode()).hexdigest()[:16]}"


def read_owner(root: str) -> dict[str, Any] | None:
    """Who holds the lock; None when nobody does."""
    return read_claim(owner_path(root))


@contextlib.contextmanager
def store_lock(root: str, purpose: str, timeout: float, break_id: str | None = None) -> Iterator[StoreLock]:
    """Hold the store's lock; after timeout seconds the holder is named in the error.

    break_id is the id of a lock that is to be taken from its owner, and of no other.
    """
    state = os.path.join(root, ".state")
    make_directories(state, 0o700)
    deadline = time.monotonic() + timeout
    descriptor = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait_for_flock(descriptor, root, deadline, timeout)
        lock = StoreLock(root, _claim(root, purpose, deadline, timeout, break_id))
        try:
            yield lock
        finally:
            # Whoever broke the lock took the draft too; then there is nothing to give up.
            with contextlib.suppress(FileNotFoundError):
                _remove_claim(root, lock.lock_id, lock.lock_id)
    finally:
        os.close(descriptor)


def describe_owner(owner: dict[str, Any], now: float) -> str:
    """Owner and age in a sentence."""
    since = owner.get("since")
    at = parse(since)
    age = f" for {max(0, int(now - at))} s" if at is not None else ""
    return (
        f"lock {owner.get('lock_id')} of {owner.get('by', 'unknown')} (process {owner.get('pid', '?')} on "
        f"{owner.get('host', 'an unknown host')}), held since {since or 'an unknown time'}{age}, to {owner.get('purpose', '?')}"
    )


def _wait_for_flock(descriptor: int, root: str, deadline: float, timeout: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                owner = read_owner(root) or {}
                raise NetbootError(
                    f"another process still writes to the store {root} after {timeout:g} s: "
                    f"{describe_owner(owner, time.time())}. Run again when it has ended (it runs: no break_lock takes it "
                    "away), or give lock_timeout more seconds; nothing was changed."
                ) from error
        time.sleep(PAUSE)


def _claim(root: str, purpose: str, deadline: float, timeout: float, break_id: str | None) -> str:
    """Become the owner; what is certainly stale, or is to be broken, is taken away first."""
    lock_id = secrets.token_hex(4)
    # It is linked to its places whole, and stays until the claim goes: on a full file system there is room for no other then.
    write_new(_draft(root, lock_id), _claim_text(lock_id, purpose), 0o600)
    try:
        _take(root, lock_id, deadline, timeout, break_id)
    except BaseException:
        os.unlink(_draft(root, lock_id))
        raise
    return lock_id


def _take(root: str, lock_id: str, deadline: float, timeout: float, break_id: str | None) -> None:
    while not _link(root, lock_id, owner_path(root)):
        owner = read_owner(root)
        if owner is None:
            continue
        stale = owner.get("boot_id") == _boot_id() or (break_id is not None and owner.get("lock_id") == break_id)
        if stale and _remove_claim(root, owner.get("lock_id"), lock_id):
            continue
        if time.monotonic() >= deadline:
            raise NetbootError(
                f"the store {root} is locked from another machine, after waiting {timeout:g} s: "
                f"{describe_owner(owner, time.time())}. If that run still goes on, wait for its end. If it was cut off "
                f"(its machine restarted, for example), break its lock: break_lock: {owner.get('lock_id')}. "
                f"{_removal_words(root, owner)}Nothing was changed."
            )
        time.sleep(PAUSE)


def _removal_words(root: str, owner: dict[str, Any]) -> str:
    """What is to be done about a machine that was cut off while it took the claim away."""
    path = removal_path(root, owner.get("lock_id"))
    remover = read_claim(path)
    if remover is None:
        return ""
    return (
        f"Another run is breaking it ({describe_owner(remover, time.time())}); if that was cut off too, remove {path}. "
    )


def _claim_text(lock_id: str, purpose: str) -> bytes:
    owner = {
        "lock_id": lock_id,
        "by": operator(),
        "host": socket.gethostname(),
        "boot_id": _boot_id(),
        "pid": os.getpid(),
        "purpose": purpose,
        "since": stamp(time.time()),
    }
    return json.dumps(owner, sort_keys=True).encode("ascii") + b"\n"


def _draft(root: str, lock_id: object) -> str:
    """The file that a claim is a link to."""
    return f"{owner_path(root)}.{lock_id}"


def _link(root: str, lock_id: str, path: str) -> bool:
    """Put the claim in place, unless there is one."""
    try:
        os.link(_draft(root, lock_id), path)
    except FileExistsError:
        return False
    sync_directory(os.path.dirname(path))
    return True


def _remove_claim(root: str, owner_id: object, lock_id: str) -> bool:
    """Take away the claim of that id, if it still is there; False when somebody else is about to.

    Two that break the same claim, or one that breaks it while its owner gives it up, would each see it and then take away
    whatever is there, perhaps the claim that came after it. So whoever takes it away first gets the right to, which is a
    file named after that claim alone.
    """
    right = removal_path(root, owner_id)
    if not _link(root, lock_id, right):
        remover = read_claim(right)
        # Its writer died in here: nobody else of this system can be, for we have the flock.
        if remover is not None and remover.get("boot_id") == _boot_id():
            os.unlink(right)
        return False
    owner = read_owner(root)
    if owner is not None and owner.get("lock_id") == owner_id:
        os.unlink(owner_path(root))
    if LOCK_ID.fullmatch(str(owner_id)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_draft(root, owner_id))
    os.unlink(right)
    return True


def _boot_id() -> str:
    """What tells this running system from every other; a restart changes it."""
    with open(BOOT_ID, encoding="ascii") as stream:
        return stream.read().strip()
