# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which blobs no release needs.

A blob stays when a release that stays names it, when an image that was streamed within the grace time does, or when it
came within the grace time itself: its image may still be on its way. A release that cannot be read may name any blob, so
as long as there is one, every blob stays.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import blob_path, record_path

from .errors import NetbootError
from .manifest import Manifest, read_manifest
from .names import DIGEST, IMAGE_ID
from .prune import Policy, Verdict
from .releases import read_whole


class Rubbish(NamedTuple):
    """What can go."""

    blobs: dict[str, int]
    staged: list[str]
    # Why no blob goes, if so.
    hindrance: str | None


def find_rubbish(root: str, verdicts: list[Verdict], rules: Policy, now: float) -> Rubbish:
    """Blobs and staged manifests that nothing needs when the releases without a reason are gone."""
    staying = [verdict for verdict in verdicts if verdict.reasons]
    images = {str(verdict.image_id) for verdict in staying} | set(rules.keep_image_ids)
    staged = _old_staged(root, images, now - rules.grace_seconds)
    needed: set[str] = set()
    for verdict in staying:
        document = read_whole(root, verdict.channel, verdict.release_id)
        if document is None:
            return Rubbish({}, staged, f"the manifest of release {verdict.release_id} of {verdict.channel} is damaged")
        needed.update(file["sha256"] for file in document["files"])
    try:
        for image_id in set(staged_images(root)) - set(staged):
            needed.update(file.sha256 for file in _staged(root, image_id).files)
    except NetbootError as error:
        return Rubbish({}, staged, f"a staged manifest is damaged: {error}")
    return Rubbish(_unneeded(root, needed, now - rules.grace_seconds), staged, None)


def remove_blob(root: str, digest: str) -> None:
    """Remove a blob and what is remembered of it."""
    for path in (blob_path(root, digest), record_path(root, digest), os.path.join(root, ".state", "pieces", digest)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_staged(root: str, image_id: str) -> None:
    """Forget that an image was streamed."""
    folder = os.path.join(_staging(root), image_id)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, "manifest.json"))
        os.rmdir(folder)


def _unneeded(root: str, needed: set[str], since: float) -> dict[str, int]:
    folder = os.path.dirname(blob_path(root, ""))
    found = {}
    for digest in _names(folder, DIGEST):
        if digest not in needed:
            status = os.lstat(os.path.join(folder, digest))
            # The change time: it is set when a blob gets its name, whatever the modification time says.
            if status.st_ctime <= since:
                found[digest] = status.st_size
    return found


def _old_staged(root: str, images: set[str], since: float) -> list[str]:
    """Images that were streamed before the grace time and that no release that stays is made of."""
    return [
        image_id
        for image_id in staged_images(root)
        if image_id not in images and os.lstat(_staged_path(root, image_id)).st_ctime <= since
    ]


def staged_images(root: str) -> list[str]:
    """The images whose manifest the stream has staged."""
    names = _names(_staging(root), IMAGE_ID)
    return [image_id for image_id in names if os.path.isfile(_staged_path(root, image_id))]


def _staged(root: str, image_id: str) -> Manifest:
    path = _staged_path(root, image_id)
    with open(path, "rb") as stream:
        return read_manifest(stream.read(), path)


def _staged_path(root: str, image_id: str) -> str:
    return os.path.join(_staging(root), image_id, "manifest.json")


def _staging(root: str) -> str:
    return os.path.join(root, ".state", "staging")


def _names(folder: str, form: re.Pattern[str]) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if form.fullmatch(name))
