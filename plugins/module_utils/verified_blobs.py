# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which blobs of a store were read and found to have the digest that names them.

ROOT/blobs/sha256/<hex> is remembered as ROOT/.state/verified/<hex>, one line `SIZE MTIME_NS CTIME_NS INODE` of the file
that was read: a file that was replaced, written to or touched since is read again (ctime tells even when mtime was set
back). The receiver of a stream writes a record after the blob has its final name and mode (both change ctime); whoever
publishes reads it. The record is a saving of time and never the only proof: losing it costs one reading.
"""

from __future__ import annotations

import os
import tempfile


def blob_path(root: str, digest: str) -> str:
    """Where the store keeps the contents with this SHA-256 (64 lower-case hex digits)."""
    return os.path.join(root, "blobs", "sha256", digest)


def record_path(root: str, digest: str) -> str:
    """Where it is remembered that the blob was verified."""
    return os.path.join(root, ".state", "verified", digest)


def fingerprint(status: os.stat_result) -> str:
    """What changes when a file is replaced or written to."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def is_verified(root: str, digest: str) -> bool:
    """True when the blob is there and is the very file that was verified before."""
    try:
        with open(record_path(root, digest), encoding="ascii") as record:
            known = record.read(200).strip()
        return known == fingerprint(os.stat(blob_path(root, digest)))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return False


def remember_verified(root: str, digest: str, status: os.stat_result) -> None:
    """Remember that the file with this status was read and has the digest.

    For a blob that was hashed while it was received: call it after the rename and chmod, with a fresh os.stat.
    Not flushed: a record lost or empty after a crash only costs a reading.
    """
    path = record_path(root, digest)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=folder)
    with os.fdopen(descriptor, "w", encoding="ascii") as record:
        record.write(fingerprint(status) + "\n")
    os.rename(temporary, path)
