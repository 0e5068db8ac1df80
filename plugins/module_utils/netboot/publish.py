# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Publish an image as the release of a channel."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from .blobs import check_blobs, refuse_missing
from .channels import activate, active_release, link_age
from .difference import describe
from .errors import NetbootError
from .history import read_history, record
from .lock import store_lock
from .manifest import ImageFile, Manifest, read_manifest
from .names import check_image_id
from .releases import Release, Settings, is_written, make_release, read_manifest_of, write_release
from .script import channel_url


class Publication(NamedTuple):
    """What was done, or would be."""

    release: Release
    url: str
    previous_release_id: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    missing: list[ImageFile]
    changed: bool


def staged_manifest(root: str, image_id: str) -> Manifest:
    """The manifest that the stream has staged."""
    path = os.path.join(root, ".state", "staging", check_image_id(image_id), "manifest.json")
    try:
        with open(path, "rb") as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise NetbootError(
            f"no image {image_id} is staged on this host: {path} does not exist. Stream the image directory here first "
            "(artifact_stream with layout: image); nothing was published."
        ) from error
    except OSError as error:
        raise NetbootError(_explained(root, error)) from error
    manifest = read_manifest(text, path)
    if manifest.image_id != image_id:
        raise NetbootError(f"{path} is the manifest of {manifest.image_id}, not of {image_id}; stream the image again.")
    return manifest


def publish(root: str, manifest: Manifest, settings: Settings, dry_run: bool, lock_timeout: float) -> Publication:
    """Make the image the channel's release. Nothing that is served changes before everything is on the disk."""
    try:
        if dry_run:
            # Whatever makes the root has not run either.
            return _plan(root, manifest, settings, remember=False)
        if not os.path.isdir(root):
            raise NetbootError(f"root: the directory {root} does not exist; role netboot_server makes it.")
        with store_lock(root, f"publish {manifest.image_id} as {settings.channel}", lock_timeout):
            return _apply(root, _plan(root, manifest, settings, remember=True))
    except OSError as error:
        raise NetbootError(_explained(root, error)) from error


def _plan(root: str, manifest: Manifest, settings: Settings, remember: bool) -> Publication:
    """What there is, what there would be."""
    release = make_release(manifest, settings)
    channel = settings.channel
    previous = active_release(root, channel)
    missing = check_blobs(root, manifest, remember)
    before = {} if previous is None else describe(previous, read_manifest_of(root, channel, previous))
    after = describe(release.release_id, release.document)
    done = previous == release.release_id and is_written(root, release) and _is_recorded(root, channel, previous)
    return Publication(release, channel_url(settings.base_url, channel), previous, before, after, missing, not done)


def _apply(root: str, plan: Publication) -> Publication:
    """Write, turn the link, record: in this order, so that a crash at any point leaves one whole release active."""
    refuse_missing(root, plan.missing)
    if not plan.changed:
        return plan
    release, channel = plan.release, plan.release.settings.channel
    with _scratch(root) as scratch:
        write_release(root, scratch, release)
        if plan.previous_release_id is not None:
            _record_forgotten(root, channel, plan.previous_release_id)
        if plan.previous_release_id != release.release_id:
            activate(root, scratch, channel, release.release_id)
            record(root, channel, _entry(release, plan.previous_release_id), time.time())
    return plan


def _entry(release: Release, previous: str | None) -> dict[str, Any]:
    """What the history says of a publication."""
    return {
        "action": "publish",
        "release_id": release.release_id,
        "image_id": release.manifest.image_id,
        "previous_release_id": previous,
    }


def _is_recorded(root: str, channel: str, release_id: str) -> bool:
    """True when the history's last word is this release."""
    history = read_history(root, channel)
    return bool(history) and history[-1].get("release_id") == release_id


def _record_forgotten(root: str, channel: str, active: str) -> None:
    """Record the active release when whoever made it active died before that; the link's age says when it was."""
    if not _is_recorded(root, channel, active):
        document = read_manifest_of(root, channel, active) or {}
        entry = {"action": "publish", "release_id": active, "image_id": document.get("image_id"), "recorded_late": True}
        record(root, channel, entry, link_age(root, channel))


@contextlib.contextmanager
def _scratch(root: str) -> Iterator[str]:
    """A directory on the store's file system for what is not yet whole; whoever holds the lock owns it."""
    path = os.path.join(root, ".state", "publishing")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _explained(root: str, error: OSError) -> str:
    """What the operator can do about an error of the file system."""
    reason = f"{error.strerror or error} ({error.filename or root})"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the file system of {root} is full: {reason}. Free some space there and run again; one whole release is active."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"root: cannot write to {root}: {reason}. Publish as the user who owns it (become), on a writable file system."
    return f"cannot publish below {root}: {reason}."
