# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the store holds every blob that a manifest names, whole and unchanged."""

from __future__ import annotations

import hashlib
import os

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import sync_directory, sync_file
from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import (
    blob_path,
    is_verified,
    remember_verified,
)

from .errors import NetbootError
from .manifest import ImageFile, Manifest

CHUNK = 1 << 20


def check_blobs(root: str, manifest: Manifest, remember: bool) -> list[ImageFile]:
    """Verify the blobs that are there; answer with the files whose blobs are not.

    A blob verified before, and not changed since, is not read again. Without remember (check mode) nothing is written.
    """
    missing = []
    for file in manifest.files:
        path = blob_path(root, file.sha256)
        if not os.path.isfile(path):
            missing.append(file)
            continue
        _check_size(path, file)
        if not is_verified(root, file.sha256):
            status = _check_digest(path, file)
            if remember:
                # Whoever brought the blob may not have flushed it or its name, and a release must not outlive its blobs in a power cut.
                sync_file(path)
                sync_directory(os.path.dirname(path))
                remember_verified(root, file.sha256, status)
    return missing


def refuse_missing(root: str, missing: list[ImageFile]) -> None:
    """Say which blobs are not there."""
    if not missing:
        return
    first = missing[0]
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    raise NetbootError(
        f"the blob of {first.name}{others} is not in the store: {blob_path(root, first.sha256)} does not exist. "
        "Stream the image to this host again (artifact_stream); nothing was published."
    )


def _check_size(path: str, file: ImageFile) -> None:
    size = os.stat(path).st_size
    if size != file.size:
        raise NetbootError(
            f"the blob of {file.name} has the wrong size: {path} holds {size} bytes, the manifest says {file.size}. "
            "Remove that blob and stream the image again; nothing was published."
        )


def _check_digest(path: str, file: ImageFile) -> os.stat_result:
    """Read the blob; the answer is the status of exactly the file that was read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        status = os.fstat(stream.fileno())
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
        after = os.fstat(stream.fileno())
    if digest.hexdigest() != file.sha256:
        raise NetbootError(
            f"the blob of {file.name} has the wrong digest: {path} was read as {digest.hexdigest()}, its name and the "
            "manifest say otherwise. Remove that blob and stream the image again; nothing was published."
        )
    if after.st_mtime_ns != status.st_mtime_ns:
        raise NetbootError(f"{path} was written to while it was read; run again when its writer has ended.")
    return status
