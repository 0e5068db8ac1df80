# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a power cut may find: contents are on the disk before they get their name, names before whatever counts on them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import limits, tree_store


def test_a_blob_is_flushed_before_it_gets_its_name_and_the_names_before_the_image_is_staged(
    steps, transfer, make_image, noise, tmp_path
):
    dest = tmp_path / "web"
    assert transfer(make_image({"kernel": noise(1000), "initrd-00": noise(2000)}), dest).receiver_error is None
    blobs, staged = dest / "blobs" / "sha256", dest / ".state" / "staging" / "0123abcd-image" / "manifest.json"
    assert len(os.listdir(blobs)) == 2
    for digest in os.listdir(blobs):
        flushed, named = steps.first("flush", dest / ".state" / "parts" / digest), steps.first("name", blobs / digest)
        assert flushed < named < steps.last("flush", blobs) < steps.first("name", staged)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "page").write_bytes(b"hello")
    (root / "copy").write_bytes(b"hello")
    return root


def test_a_directory_is_on_the_disk_before_it_is_in_place_and_its_name_after(steps, transfer, folder, tmp_path):
    dest, fresh = tmp_path / "out" / "site", tmp_path / "out" / ".site.stream" / "tree"
    assert transfer(folder, dest, "directory").receiver_error is None
    named = steps.first("name", dest)
    assert steps.was(dest) == str(fresh)
    copied = fresh / "deep" / "page"  # the second of two equal files is made anew, and was never received
    for path in (fresh, fresh / "deep", copied):
        assert steps.last("flush", path) < named
    assert steps.last("flush", dest.parent) > named


def test_the_old_directory_comes_back_when_the_new_one_cannot_take_its_place(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tree_store.ctypes, "CDLL", lambda *args, **kwargs: object())
    dest, fresh, rename = tmp_path / "dest", tmp_path / "fresh", os.rename
    for path in (dest, fresh):
        path.mkdir()
        (path / path.name).write_bytes(b"x")

    def refuse(before, path):
        if (str(before), str(path)) == (str(fresh), str(dest)):
            raise OSError(5, "Input/output error")
        rename(before, path)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="Input/output"):
        tree_store._replace(str(fresh), str(dest))
    assert os.listdir(dest) == ["dest"]


def test_the_error_of_a_last_rename_ends_the_transfer_with_its_reason(
    transfer, make_image, noise, tmp_path, monkeypatch
):
    rename, blobs = os.rename, str(tmp_path / "web" / "blobs")

    def refuse(before, path):
        if str(path).startswith(blobs):
            raise OSError(30, "Read-only file system")
        rename(before, path)

    monkeypatch.setattr(os, "rename", refuse)
    ended = transfer(make_image({"kernel": noise(1000)}), tmp_path / "web")
    assert "web: Read-only file system" in str(ended.receiver_error)
    assert ended.sender_error is not None
    assert not (tmp_path / "web" / ".state" / "staging").exists()


def test_a_large_file_is_flushed_while_it_comes_one_step_behind(transfer, make_image, noise, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SYNC_STEP", 500_000)
    flush, behind = os.fdatasync, []

    def flushed(descriptor):
        flush(descriptor)
        behind.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fdatasync", flushed)
    ended = transfer(make_image({"kernel": noise(3_200_000)}), tmp_path / "web")
    assert ended.receiver_error is None
    assert 3 <= len(behind) <= 6
    assert {os.path.dirname(path) for path in behind} == {str(tmp_path / "web" / ".state" / "parts")}
