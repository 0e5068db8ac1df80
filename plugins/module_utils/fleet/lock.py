# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One hand at a time on a fleet: the lock on the coordinator that whatever buys, reboots or ends machines takes first.

DIRECTORY/FLEET.lock is a claim that outlives its holder. A controller that died has left machines half way, and nobody but
the operator knows whether it is really dead, so neither age nor a restart of the coordinator frees the lock: it is broken by
its id, or resumed by a run of the same owner and purpose that is told to. Each change of it is made under flock(2), so that
of two that break, one does. What was taken away from a holder is remembered in DIRECTORY/FLEET.journal.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import append_line, make_directories
from ansible_collections.nixmetal.builders.plugins.module_utils.claim import place_claim, read_claim, withdraw_claim
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, stamp
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import (
    NOT_YET,
    REACHED,
    SYSTEM_CLOCK,
    Backoff,
    Clock,
    WaitTimedOut,
    wait_for,
)

FLEET_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
BACKOFF = Backoff(first=0.2, longest=5.0)

Claim = dict[str, Any]


class LockPlace(NamedTuple):
    """Where the lock of a fleet is."""

    directory: str
    fleet: str

    @property
    def path(self) -> str:
        return os.path.join(self.directory, f"{self.fleet}.lock")

    @property
    def journal(self) -> str:
        return os.path.join(self.directory, f"{self.fleet}.journal")


class Wish(NamedTuple):
    """Who wants the lock, for what, and whether it may go on where a run of the same owner and purpose stopped."""

    owner: str
    purpose: str
    resume: bool = False


class Tried(NamedTuple):
    """What one try saw: the claim that is there now, whether it is ours, and the id that it was taken over from."""

    claim: Claim
    ours: bool
    resumed_from: str | None = None


def lock_place(directory: str, fleet: str) -> LockPlace:
    """The place of this fleet's lock; its name becomes that of a file."""
    if not FLEET_NAME.fullmatch(fleet):
        raise FleetError(
            f"fleet {fleet!r} is no name of a fleet (lower-case letters, digits and hyphens, at most 63): set spot_fleet_name"
        )
    return LockPlace(directory, fleet)


def acquire(place: LockPlace, wish: Wish, wait_seconds: float = 0, clock: Clock = SYSTEM_CLOCK) -> Tried:
    """Become the holder, or say after wait_seconds who is."""
    make_directories(place.directory)
    try:
        return wait_for(
            lambda: _try(place, wish),
            lambda tried: REACHED if tried.ours else NOT_YET,
            wait_seconds,
            clock,
            BACKOFF,
        )
    except WaitTimedOut as late:
        holder = late.last_seen.claim if isinstance(late.last_seen, Tried) else {}
        raise FleetError(_refusal(place, wish, holder, wait_seconds)) from late


def would_acquire(place: LockPlace, wish: Wish) -> tuple[Claim | None, bool]:
    """Who holds the lock now, and whether acquire would succeed at once. Nothing is written."""
    claim = read_claim(place.path)
    return claim, claim is None or _may_resume(claim, wish)


def confirm(place: LockPlace, lock_id: str) -> Claim:
    """The claim with this id, or an error when it is not there any more: for use before what cannot be taken back."""
    claim = read_claim(place.path)
    if claim is not None and claim["lock_id"] == lock_id:
        return claim
    now = describe(claim) if claim else "nobody holds it now"
    raise FleetError(
        f"the lock {lock_id} on the fleet {place.fleet} was broken or taken over while this run held it ({now}), so this run "
        "stops here. Look at what the other run did, and run again."
    )


def release(place: LockPlace, lock_id: str) -> tuple[bool, Claim | None]:
    """Give the lock up. When it is another one's by now, that one is left alone and returned."""
    if not os.path.isdir(place.directory):
        return False, None
    with _guarded(place):
        return withdraw_claim(place.path, lock_id), read_claim(place.path)


def breakable(place: LockPlace, lock_id: str) -> Claim | None:
    """The claim that break_lock would take away; None when nobody holds the lock, an error when it has another id."""
    claim = read_claim(place.path)
    if claim is None or claim["lock_id"] == lock_id:
        return claim
    raise FleetError(
        f"the fleet {place.fleet} is not held by the lock {lock_id} but by {describe(claim)}: nothing was broken. "
        "Give that id if it is really that run that ended."
    )


def break_lock(place: LockPlace, lock_id: str, by: str, reason: str) -> Claim | None:
    """Take the lock with this id from its holder, who is returned; None when nobody holds one."""
    if not os.path.isdir(place.directory):
        return None
    with _guarded(place):
        claim = breakable(place, lock_id)
        if claim is not None:
            _remember(place, "broken", claim, by, reason)
            withdraw_claim(place.path, lock_id)
        return claim


def age_seconds(claim: Claim) -> int | None:
    """How long the lock is held; None when it does not say since when."""
    since = parse(claim.get("since"))
    return None if since is None else max(0, int(time.time() - since))


def describe(claim: Claim) -> str:
    """Owner and age in words."""
    age = age_seconds(claim)
    held = "since an unknown time" if age is None else f"since {claim['since']} ({age} s)"
    return f"lock {claim['lock_id']} of {claim.get('owner', 'an unknown owner')}, held {held} for {claim.get('purpose', '?')}"


def _try(place: LockPlace, wish: Wish) -> Tried:
    with _guarded(place):
        held = read_claim(place.path)
        if held is not None and not _may_resume(held, wish):
            return Tried(held, False)
        if held is not None:
            _remember(place, "resumed", held, wish.owner, "resumed by the same owner for the same purpose")
            withdraw_claim(place.path, held["lock_id"])
        claim = {
            "lock_id": secrets.token_hex(4),
            "fleet": place.fleet,
            "owner": wish.owner,
            "purpose": wish.purpose,
            "since": stamp(time.time()),
        }
        if not place_claim(place.path, claim, 0o644):
            return Tried(read_claim(place.path) or {"lock_id": "?"}, False)
        return Tried(claim, True, held["lock_id"] if held else None)


def _may_resume(held: Claim, wish: Wish) -> bool:
    return wish.resume and (held.get("owner"), held.get("purpose")) == (wish.owner, wish.purpose)


def _refusal(place: LockPlace, wish: Wish, held: Claim, waited: float) -> str:
    same = (held.get("owner"), held.get("purpose")) == (wish.owner, wish.purpose)
    again = "run with resume (fleet_lock_resume=true), or " if same else ""
    return (
        f"the fleet {place.fleet} is taken, after waiting {waited:g} s: {describe(held)}. Wait for that run's end. If it has "
        f"ended without giving the lock back (it was killed, say), {again}break exactly that lock: playbook break_fleet_lock.yml "
        f"with fleet_lock_break_id={held.get('lock_id')} and fleet_lock_break_reason. Nothing was changed."
    )


def _remember(place: LockPlace, event: str, claim: Claim, by: str, reason: str) -> None:
    entry = {"at": stamp(time.time()), "event": event, "lock": claim, "by": by, "reason": reason}
    append_line(place.journal, json.dumps(entry, sort_keys=True).encode("ascii"))


@contextlib.contextmanager
def _guarded(place: LockPlace) -> Iterator[None]:
    """For the moment of one change, and no longer: ends with the process."""
    descriptor = os.open(f"{place.path}.guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
