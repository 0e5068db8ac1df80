# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destination of an image: a store of blobs named by their digest.

DEST/blobs/sha256/<hex>                          contents, verified, mode 0444
DEST/.state/parts/                               files on their way
DEST/.state/pieces/<hex>                         which pieces a blob is made of, so that a later image can borrow them
DEST/.state/staging/<image_id>/manifest.json     the image is here whole
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils import atomic_file, verified_blobs

from . import parts, tree
from .manifest import DIGEST, Entry, Manifest


class Donor(NamedTuple):
    """A range of a file here that holds a piece."""

    path: str
    offset: int
    digest: str  # of the whole file
    arriving: bool = False  # it comes in this very transfer


class BlobStore:
    """The store below one directory, seen by one transfer."""

    def __init__(self, dest: str, manifest: Manifest) -> None:
        self.dest = os.path.abspath(dest)
        self._manifest = manifest
        state = os.path.join(self.dest, ".state")
        self.parts = os.path.join(state, "parts")
        self._blobs = os.path.join(self.dest, "blobs", "sha256")
        self._pieces = os.path.join(state, "pieces")
        self._staged = os.path.join(state, "staging", manifest.image_id, "manifest.json")

    def lacking(self, remember: bool) -> list[Entry]:
        """What has to travel, in the manifest's order. A blob that nobody verified is read once."""
        return [entry for entry in self._manifest.contents().values() if not self._holds(entry, remember)]

    def prepare(self) -> None:
        """Make the directories."""
        atomic_file.make_directories(self._blobs)
        for path in (os.path.dirname(self.parts), self.parts, self._pieces):
            atomic_file.make_directories(path, 0o700)
        for path in (
            self._pieces,
            os.path.dirname(verified_blobs.record_path(self.dest, "")),
            os.path.dirname(self._staged),
        ):
            parts.sweep_scratch(path)
        self._renew()

    def close(self) -> None:
        """Nothing is held."""

    def donors(self, lacking: list[Entry]) -> dict[str, Donor]:
        """Where pieces that are needed stand in blobs that are here and unchanged since they were verified."""
        needed = {piece.sha256 for entry in lacking for piece in entry.pieces}
        found: dict[str, Donor] = {}
        if not needed:
            return found
        for name in sorted(os.listdir(self._pieces)):
            if not DIGEST.fullmatch(name):
                continue
            if not os.path.exists(verified_blobs.blob_path(self.dest, name)):
                with contextlib.suppress(FileNotFoundError):  # another transfer does the same
                    os.unlink(os.path.join(self._pieces, name))
            elif verified_blobs.is_verified(self.dest, name):
                found.update(self._pieces_of(name, needed))
        return found

    def distrust(self, digest: str) -> None:
        """Forget that a blob was verified and what it is made of: it is read before it is believed, and lends nothing."""
        for path in (verified_blobs.record_path(self.dest, digest), os.path.join(self._pieces, digest)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def place(self, entry: Entry) -> tuple[str, int]:
        """Final path and mode of contents."""
        return verified_blobs.blob_path(self.dest, entry.sha256), 0o444

    def arrived(self, entry: Entry) -> None:
        """Note contents that were verified and have their final name."""
        self._note_pieces(entry)
        status = os.stat(verified_blobs.blob_path(self.dest, entry.sha256))
        verified_blobs.remember_verified(self.dest, entry.sha256, status)

    def finish(self) -> bool:
        """Make the names durable and stage the manifest. True when that changed something."""
        atomic_file.sync_directory(self._blobs)
        if self.is_finished():
            self._renew()
            return False
        atomic_file.make_directories(os.path.dirname(self._staged), 0o700)
        atomic_file.write_atomic(self._staged, self._manifest.text.encode("utf-8"), 0o600)
        return True

    def is_finished(self) -> bool:
        """Whether this very manifest is staged."""
        try:
            with open(self._staged, "rb") as stream:
                return stream.read() == self._manifest.text.encode("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _renew(self) -> None:
        """An image that is streamed again counts as new: pruning spares what came within its grace time."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.utime(self._staged)

    def _holds(self, entry: Entry, remember: bool) -> bool:
        path = verified_blobs.blob_path(self.dest, entry.sha256)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
                return False
            if verified_blobs.is_verified(self.dest, entry.sha256):
                return True
            if tree.hash_file(path) != entry.sha256:
                return False
            if remember:
                self._flush(path)
                self._note_pieces(entry)
                verified_blobs.remember_verified(self.dest, entry.sha256, status)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _note_pieces(self, entry: Entry) -> None:
        """Remember what contents can lend."""
        if entry.pieces:
            content = json.dumps([[piece.size, piece.sha256] for piece in entry.pieces]).encode("ascii")
            atomic_file.write_atomic(os.path.join(self._pieces, entry.sha256), content, 0o600)

    def _flush(self, path: str) -> None:
        """Somebody else put the blob there. Whoever publishes trusts the record: a release must not outlive its blobs."""
        atomic_file.sync_file(path)
        atomic_file.sync_directory(self._blobs)

    def _pieces_of(self, name: str, needed: set[str]) -> dict[str, Donor]:
        path, offset = verified_blobs.blob_path(self.dest, name), 0
        found: dict[str, Donor] = {}
        with (
            contextlib.suppress(ValueError, FileNotFoundError),
            open(os.path.join(self._pieces, name), encoding="ascii") as stream,
        ):
            for size, digest in json.load(stream):
                if digest in needed:
                    found[digest] = Donor(path, offset, name)
                offset += size
        return found
