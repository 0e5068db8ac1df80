# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a release the active one of its channel."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .blobs import check_blobs, refuse_missing
from .channels import activate, active_release, link_age
from .difference import describe
from .errors import NetbootError
from .history import forget_intention, intend, intention, operator, read_history, record
from .lock import StoreLock, store_lock
from .manifest import ImageFile, Manifest
from .publish import Choice, Target, image_of
from .releases import (
    Release,
    Settings,
    description,
    is_written,
    load_release,
    read_manifest_of,
    write_release,
)
from .script import channel_url
from .signatures import to_sign, with_signatures
from .store_errors import explained

# A release that is in the store has its signatures.
KEPT_AS_IT_IS = ("activate", "rollback", "keep")


class Writer(NamedTuple):
    """Who writes to which store, and how. Signatures are by file name, in base64, and signed says which digests they are of."""

    root: str
    dry_run: bool = False
    lock_timeout: float = 60
    break_lock: str | None = None
    by: str | None = None
    signed: Mapping[str, str] | None = None
    signatures: Mapping[str, str] | None = None


class Publication(NamedTuple):
    """What was done, or would be."""

    release: Release
    url: str
    previous_release_id: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    missing: list[ImageFile]
    changed: bool
    action: str
    # Name -> SHA-256 of what is to be signed.
    to_sign: dict[str, str]


def publish(root: str, manifest: Manifest, settings: Settings, dry_run: bool, lock_timeout: float) -> Publication:
    """Make the image the channel's release."""
    return switch(Writer(root, dry_run, lock_timeout), settings.channel, image_of(manifest, settings))


def switch(writer: Writer, channel: str, choose: Choice, replaces: str | None = None) -> Publication:
    """Make the chosen release active. Nothing that is served changes before everything is on the disk.

    With replaces, nothing is done unless that release is the active one.
    """
    root = writer.root
    try:
        if writer.dry_run:
            # Whatever makes the root has not run either.
            target = _signed(writer, _target(root, channel, choose, replaces))
            return _plan(root, channel, target, remember=False)
        if not os.path.isdir(root):
            raise NetbootError(f"root: the directory {root} does not exist; role netboot_server makes it.")
        with store_lock(root, f"switch the channel {channel}", writer.lock_timeout, writer.break_lock) as lock:
            late = _record_forgotten(root, channel)
            target = _signed(writer, _target(root, channel, choose, replaces))
            plan = _plan(root, channel, target, remember=True)
            return _apply(writer, lock, target, plan._replace(changed=plan.changed or late))
    except OSError as error:
        raise NetbootError(explained(root, error)) from error


def _target(root: str, channel: str, choose: Choice, replaces: str | None) -> Target:
    """What is to be active: the choice, or what is there already when it is not what was to be replaced."""
    active = active_release(root, channel)
    if replaces is None or replaces == active:
        return choose()
    if active is None:
        raise NetbootError(f"replaces: the channel {channel} has no release, so {replaces} cannot be replaced.")
    return Target(load_release(root, channel, active), "keep")


def _signed(writer: Writer, target: Target) -> Target:
    unsigned_rehearsal = writer.dry_run and writer.signatures is None
    if target.action in KEPT_AS_IT_IS or unsigned_rehearsal:
        return target
    return target._replace(release=with_signatures(target.release, writer.signed or {}, writer.signatures or {}))


def _plan(root: str, channel: str, target: Target, remember: bool) -> Publication:
    """What there is, what there would be."""
    release = target.release
    previous = active_release(root, channel)
    missing = check_blobs(root, release.manifest, remember)
    before = {} if previous is None else description(root, channel, previous)
    after = describe(release.release_id, release.document, release.command_line)
    done = previous == release.release_id and is_written(root, release) and _is_recorded(root, channel, previous)
    url = channel_url(release.settings.base_url, channel)
    unsigned = {} if target.action in KEPT_AS_IT_IS else to_sign(release)
    return Publication(release, url, previous, before, after, missing, not done, target.action, unsigned)


def _apply(writer: Writer, lock: StoreLock, target: Target, plan: Publication) -> Publication:
    """Write, turn the link, record: in this order, so that a crash at any point leaves one whole release active."""
    refuse_missing(writer.root, plan.missing)
    if not plan.changed:
        return plan
    root, release, channel = writer.root, plan.release, plan.release.settings.channel
    with scratch_directory(root) as scratch:
        write_release(root, scratch, release)
        if plan.previous_release_id != release.release_id:
            entry = {**_entry(target, plan.previous_release_id), "by": writer.by or operator()}
            intend(root, scratch, channel, entry)
            lock.confirm()
            activate(root, scratch, channel, release.release_id)
            record(root, channel, entry, time.time())
            forget_intention(root, channel)
    return plan


def _entry(target: Target, previous: str | None) -> dict[str, Any]:
    """What the history says of it."""
    entry = {
        "action": target.action,
        "release_id": target.release.release_id,
        "image_id": target.release.manifest.image_id,
        "previous_release_id": previous,
    }
    return entry if target.promoted_from is None else {**entry, "from": target.promoted_from}


def _is_recorded(root: str, channel: str, release_id: str) -> bool:
    """True when the history's last word is this release."""
    history = read_history(root, channel)
    return bool(history) and history[-1].get("release_id") == release_id


def _record_forgotten(root: str, channel: str) -> bool:
    """Record the active release when whoever made it active died before that: what it was going to do, and the link's age."""
    active = active_release(root, channel)
    if active is None or _is_recorded(root, channel, active):
        return False
    entry = intention(root, channel)
    if entry.get("release_id") != active:
        document = read_manifest_of(root, channel, active) or {}
        entry = {"action": "publish", "release_id": active, "image_id": document.get("image_id")}
    record(root, channel, {**entry, "recorded_late": True}, link_age(root, channel))
    forget_intention(root, channel)
    return True


@contextlib.contextmanager
def scratch_directory(root: str) -> Iterator[str]:
    """A directory on the store's file system for what is not yet whole; whoever holds the lock owns it."""
    path = os.path.join(root, ".state", "publishing")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
