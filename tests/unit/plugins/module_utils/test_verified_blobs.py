# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A blob counts as verified only while it is the very file that was read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import (
    blob_path,
    is_verified,
    record_path,
    remember_verified,
)

DIGEST = hashlib.sha256(b"content").hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> str:
    blob = Path(blob_path(str(tmp_path), DIGEST))
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"content")
    return str(tmp_path)


def test_remembered(root: str) -> None:
    assert is_verified(root, DIGEST) is False
    remember_verified(root, DIGEST, os.stat(blob_path(root, DIGEST)))
    assert is_verified(root, DIGEST) is True
    assert os.listdir(os.path.dirname(record_path(root, DIGEST))) == [DIGEST]


def test_forgotten_when_the_blob_is_replaced_removed_or_written_with_its_times_put_back(root: str) -> None:
    path = Path(blob_path(root, DIGEST))
    remember_verified(root, DIGEST, path.stat())
    times = path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert is_verified(root, DIGEST) is False
    remember_verified(root, DIGEST, path.stat())
    path.unlink()
    assert is_verified(root, DIGEST) is False


@pytest.mark.parametrize("record", [b"", b"\xff\xfe", b"7 1 1", b"x" * 1000])
def test_a_record_that_a_crash_spoiled(root: str, record: bytes) -> None:
    path = Path(record_path(root, DIGEST))
    path.parent.mkdir(parents=True)
    path.write_bytes(record)
    assert is_verified(root, DIGEST) is False
