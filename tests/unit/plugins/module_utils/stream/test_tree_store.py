# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain directories: made into a manifest, carried over, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import source, tree, tree_store
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.tree_store import TreeStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "a" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a" / "deep" / "page").write_bytes(b"hello")
    (root / "index").write_bytes(b"hello")
    (root / "tool").write_bytes(b"#!/bin/sh\n")
    (root / "tool").chmod(0o755)
    (root / "a").chmod(0o750)
    return root


def listing(root: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mode & 0o777, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }


def store_of(src: Path, dest: Path) -> TreeStore:
    return TreeStore(str(dest), source.prepare(str(src), "directory"))


def test_a_directory_arrives_as_it_is(transfer, folder, tmp_path):
    ended = transfer(folder, tmp_path / "out" / "site", "directory")
    assert ended.receiver_error is None
    assert ended.changed is True
    assert listing(tmp_path / "out" / "site") == listing(folder)
    assert ended.progress.files_sent == 2  # two of the three files are the same


def test_an_empty_file_arrives(transfer, folder, tmp_path):
    (folder / "nothing").write_bytes(b"")
    assert transfer(folder, tmp_path / "out", "directory").receiver_error is None
    assert (tmp_path / "out" / "nothing").read_bytes() == b""


def test_a_second_run_reads_and_sends_nothing(transfer, folder, tmp_path, monkeypatch):
    transfer(folder, tmp_path / "out", "directory")
    store = store_of(folder, tmp_path / "out")
    monkeypatch.setattr(tree_store.tree, "hash_file", lambda path: pytest.fail(f"{path} was read"))
    store.prepare()
    assert store.lacking(remember=True) == []
    assert store.is_finished()
    assert store.finish() is False
    store.close()


def test_what_is_not_in_the_source_is_gone_and_what_stayed_is_not_sent(transfer, folder, tmp_path):
    dest = tmp_path / "out"
    (dest / "old").mkdir(parents=True)
    (dest / "old" / "page").write_bytes(b"hello")
    (dest / "link").symlink_to("/etc/passwd")
    ended = transfer(folder, dest, "directory")
    assert ended.progress.bytes_sent == len(b"#!/bin/sh\n")
    assert listing(dest) == listing(folder)
    assert not (dest / "link").is_symlink()


def test_files_of_the_same_contents_stay_apart(transfer, folder, tmp_path):
    transfer(folder, tmp_path / "out", "directory")
    with open(tmp_path / "out" / "index", "ab") as stream:
        stream.write(b"!")
    assert (tmp_path / "out" / "a" / "deep" / "page").read_bytes() == b"hello"


def test_a_changed_mode_is_a_change(transfer, folder, tmp_path):
    dest = tmp_path / "out"
    transfer(folder, dest, "directory")
    (folder / "tool").chmod(0o700)
    store = store_of(folder, dest)
    store.prepare()
    assert store.lacking(remember=True) == []
    assert not store.is_finished()
    assert store.finish() is True
    store.close()
    assert listing(dest) == listing(folder)


def test_a_file_changed_at_the_destination_is_put_right(transfer, folder, tmp_path):
    dest = tmp_path / "out"
    transfer(folder, dest, "directory")
    (dest / "tool").write_bytes(b"#!/bin/no\n")
    store = store_of(folder, dest)
    assert [entry.name for entry in store.lacking(remember=False)] == ["tool"]


def test_a_file_that_is_written_to_during_the_transfer_is_not_taken_for_what_it_was(transfer, folder, tmp_path):
    dest = tmp_path / "out"
    transfer(folder, dest, "directory")
    (folder / "a" / "new").mkdir()
    store = store_of(folder, dest)
    store.prepare()
    store.lacking(remember=True)
    (dest / "tool").write_bytes(b"#!/bin/no\n")
    with pytest.raises(StreamError, match="tool was changed during the transfer"):
        store.finish()
    store.close()
    assert not (dest / "a" / "new").exists()


def test_without_an_exchange_the_directory_is_replaced_all_the_same(transfer, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tree_store.ctypes, "CDLL", lambda *args, **kwargs: object())
    dest = tmp_path / "out"
    dest.mkdir()
    (dest / "old").write_bytes(b"old")
    transfer(folder, dest, "directory")
    assert listing(dest) == listing(folder)


def test_a_directory_that_was_set_aside_when_its_transfer_was_killed_comes_back(folder, tmp_path):
    dest = tmp_path / "out"
    aside = tmp_path / ".out.stream" / "tree.old"
    aside.mkdir(parents=True)
    (aside / "old").write_bytes(b"old")
    store = store_of(folder, dest)
    store.prepare()
    store.close()
    assert (dest / "old").read_bytes() == b"old"
    assert not aside.exists()


def test_nothing_is_left_beside_it_but_what_is_remembered(transfer, folder, tmp_path):
    transfer(folder, tmp_path / "out", "directory")
    assert sorted(os.listdir(tmp_path / ".out.stream")) == ["known.json"]


def test_links_and_special_files_are_named(folder):
    (folder / "a" / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    with pytest.raises(StreamError, match="links or special files: 'a/link', 'pipe';"):
        tree.describe(str(folder))


def test_a_name_that_is_no_text_is_refused(folder):
    with open(os.fsencode(folder) + b"/\xff", "wb"):
        pass
    with pytest.raises(StreamError, match="not UTF-8"):
        tree.describe(str(folder))


@pytest.mark.parametrize("dest", ["/", "/etc", "/etc/"])
def test_the_top_of_the_file_system_is_not_replaced(folder, dest):
    with pytest.raises(StreamError, match="would be replaced as a whole"):
        store_of(folder, Path(dest))


def test_a_destination_that_is_no_directory_is_refused(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(StreamError, match="is not a directory"):
            store_of(folder, tmp_path / name)


def test_two_transfers_to_one_directory_do_not_mix(folder, tmp_path):
    first, second = store_of(folder, tmp_path / "out"), store_of(folder, tmp_path / "out")
    first.prepare()
    with pytest.raises(StreamError, match=r"another transfer to .*out is under way"):
        second.prepare()
    first.close()
    second.prepare()
    second.close()


def test_sources_are_checked(make_image, noise, tmp_path):
    with pytest.raises(StreamError, match="is not a directory on this host"):
        source.prepare(str(tmp_path / "none"), "image")
    with pytest.raises(StreamError, match=r"manifest.json does not exist.* layout: directory"):
        source.prepare(str(tmp_path), "image")
    image = make_image({"kernel": noise(10)})
    (image / "kernel").write_bytes(b"short")
    with pytest.raises(StreamError, match="kernel has 5 bytes, its manifest says 10"):
        source.prepare(str(image), "image")
    (image / "kernel").unlink()
    with pytest.raises(StreamError, match="kernel stands in the manifest and cannot be read: No such file"):
        source.prepare(str(image), "image")
    (image / "kernel").symlink_to("/etc/passwd")
    with pytest.raises(StreamError, match="kernel is not a plain file"):
        source.prepare(str(image), "image")
    (image / "manifest.json").write_bytes(b"\xff")
    with pytest.raises(StreamError, match=r"manifest\.json cannot be read"):
        source.prepare(str(image), "image")


def test_a_link_to_an_image_is_followed(make_image, noise, tmp_path):
    (tmp_path / "result").symlink_to(make_image({"kernel": noise(10)}))
    assert source.prepare(str(tmp_path / "result"), "image").size == 10
