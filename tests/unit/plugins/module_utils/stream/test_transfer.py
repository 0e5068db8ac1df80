# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images from one side to the other: cold, warm, continued, borrowed from, and refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils import verified_blobs
from ansible_collections.nixmetal.builders.plugins.module_utils.stream import (
    blob_store,
    limits,
    parts,
    plan,
    source,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import BlobStore
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def store_of(image: Path, dest: Path) -> BlobStore:
    return BlobStore(str(dest), source.prepare(str(image), "image"))


def test_a_cold_transfer_brings_every_blob_and_stages_the_manifest(transfer, make_image, noise, blobs, tmp_path):
    files = {"kernel": noise(3_000_000), "initrd-00": noise(2_500_001)}
    image = make_image(files)
    ended = transfer(image, tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.sender_error is None
    assert ended.changed is True
    assert blobs(tmp_path / "web") == {digest(content): content for content in files.values()}
    staged = tmp_path / "web" / ".state" / "staging" / "0123abcd-image" / "manifest.json"
    assert staged.read_bytes() == (image / "manifest.json").read_bytes()
    assert ended.progress.bytes_sent == 5_500_001
    assert ended.progress.files_sent == 2


def test_blobs_are_read_only_and_the_state_is_private(transfer, make_image, noise, tmp_path):
    content = noise(1000)
    transfer(make_image({"kernel": content}), tmp_path / "web")
    web = tmp_path / "web"
    assert (web / "blobs" / "sha256" / digest(content)).stat().st_mode & 0o777 == 0o444
    assert (web / ".state").stat().st_mode & 0o777 == 0o700
    assert list((web / ".state" / "parts").iterdir()) == []


def test_a_second_run_lacks_nothing_and_reads_no_blob(transfer, make_image, noise, tmp_path, monkeypatch):
    image = make_image({"kernel": noise(100_000), "initrd-00": noise(5)})
    transfer(image, tmp_path / "web")
    monkeypatch.setattr("builtins.open", guarded_open := _Guard(str(tmp_path / "web" / "blobs")))
    again = store_of(image, tmp_path / "web")
    assert again.lacking(remember=True) == []
    assert again.is_finished()
    assert guarded_open.refused == []


class _Guard:
    """open(), noting whoever would read a blob."""

    def __init__(self, forbidden: str) -> None:
        self._open = open
        self._forbidden = forbidden
        self.refused: list[str] = []

    def __call__(self, path, *args, **kwargs):
        if str(path).startswith(self._forbidden):
            self.refused.append(str(path))
        return self._open(path, *args, **kwargs)


def test_a_blob_that_was_changed_is_sent_again(transfer, make_image, noise, blobs, tmp_path):
    content = noise(100_000)
    image = make_image({"kernel": content})
    path = tmp_path / "web" / "blobs" / "sha256" / digest(content)
    path.parent.mkdir(parents=True)
    path.write_bytes(content[:-1] + b"?")
    ended = transfer(image, tmp_path / "web")
    assert ended.changed is True
    assert blobs(tmp_path / "web") == {digest(content): content}


def test_a_blob_that_somebody_else_put_there_is_read_once_and_kept(make_image, noise, tmp_path):
    content = noise(100_000)
    image = make_image({"kernel": content})
    path = tmp_path / "web" / "blobs" / "sha256" / digest(content)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    store = store_of(image, tmp_path / "web")
    assert store.lacking(remember=False) == []
    assert not verified_blobs.is_verified(str(tmp_path / "web"), digest(content))
    assert store.lacking(remember=True) == []
    assert verified_blobs.is_verified(str(tmp_path / "web"), digest(content))


def test_identical_files_travel_once(transfer, make_image, noise, tmp_path):
    content = noise(70_000)
    ended = transfer(make_image({"kernel": content, "initrd-00": content, "initrd-01": content}), tmp_path / "web")
    assert ended.progress.bytes_sent == 70_000
    assert ended.progress.files_sent == 1


def test_a_blob_that_somebody_else_brought_is_flushed_before_it_is_believed(make_image, noise, tmp_path, monkeypatch):
    content = noise(1000)
    store = store_of(make_image({"kernel": content}), tmp_path / "web")
    store.prepare()
    path = verified_blobs.blob_path(store.dest, digest(content))
    Path(path).write_bytes(content)
    flushed = []
    for name in ("sync_file", "sync_directory"):
        monkeypatch.setattr(blob_store.atomic_file, name, flushed.append)
    remember = verified_blobs.remember_verified
    monkeypatch.setattr(verified_blobs, "remember_verified", lambda *args: (flushed.append("record"), remember(*args)))
    assert store.lacking(remember=True) == []
    assert flushed == [path, os.path.dirname(path), "record"]


def test_a_source_file_that_differs_from_its_manifest_is_named_and_leaves_nothing(
    transfer, make_image, noise, blobs, tmp_path
):
    image = make_image({"kernel": noise(10), "initrd-00": noise(2_000_000)})
    with open(image / "initrd-00", "r+b") as stream:
        stream.seek(1_500_000)
        stream.write(b"!!!!!!")
    ended = transfer(image, tmp_path / "web")
    assert "initrd-00 arrived as" in str(ended.receiver_error)
    assert "build the image again" in str(ended.receiver_error)
    assert len(blobs(tmp_path / "web")) <= 1
    assert not (tmp_path / "web" / ".state" / "staging").exists()
    wrong = json.loads((image / "manifest.json").read_text())["files"][1]["sha256"]
    assert wrong not in os.listdir(tmp_path / "web" / ".state" / "parts")


def test_a_source_file_that_became_shorter_ends_both_sides(transfer, make_image, noise, tmp_path, monkeypatch):
    image = make_image({"kernel": noise(3_000_000)})
    honest = source.open_file

    def shortened(path, size):
        descriptor = honest(path, size)
        os.truncate(path, 1_200_000)
        return descriptor

    monkeypatch.setattr(source, "open_file", shortened)
    ended = transfer(image, tmp_path / "web")
    assert "became shorter" in str(ended.sender_error)
    assert ended.receiver_error is not None


def test_an_interrupted_file_goes_on_where_it_stopped(transfer, make_image, noise, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MARK_STEP", 1 << 20)
    content = noise(5_000_000)
    image = make_image({"kernel": content})
    store = store_of(image, tmp_path / "web")
    store.prepare()
    part = plan.Part(store.parts, store.lacking(remember=False)[0])
    for start in range(0, 3_000_000, 500_000):
        part.write(memoryview(content[start : start + 500_000]))
    part.close()
    ended = transfer(image, tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.progress.bytes_resumed == 3_000_000
    assert ended.progress.bytes_sent == 2_000_000
    assert blobs(tmp_path / "web") == {digest(content): content}
    assert os.listdir(tmp_path / "web" / ".state" / "parts") == []


def test_pieces_are_borrowed_from_an_older_image(keys, link, transfer, make_image, noise, blobs, tmp_path):
    old = noise(1_000_000)
    new = old[:300_000] + noise(100_000) + old[400_000:]
    first = make_image({"kernel": noise(10), "initrd-00": old}, "old", {"initrd-00": 100_000})
    store = store_of(first, tmp_path / "web")
    store.prepare()
    for entry in store.lacking(remember=True):  # as if an earlier transfer had brought it
        part = plan.Part(store.parts, entry)
        part.write(memoryview((first / entry.name).read_bytes()))
        part.verify()
        part.settle(*store.place(entry))
        store.arrived(entry)
    ended = transfer(make_image({"initrd-00": new}, "new", {"initrd-00": 100_000}), tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.progress.bytes_sent == 100_000
    assert ended.progress.bytes_reused == 900_000
    assert blobs(tmp_path / "web")[digest(new)] == new


def test_an_image_that_is_streamed_again_counts_as_new(transfer, make_image, noise, tmp_path):
    image = make_image({"kernel": noise(1000)})
    transfer(image, tmp_path / "web")
    staged = tmp_path / "web" / ".state" / "staging" / "0123abcd-image" / "manifest.json"
    for step in ("prepare", "finish"):
        os.utime(staged, (1, 1))
        store = store_of(image, tmp_path / "web")
        getattr(store, step)()
        assert staged.stat().st_mtime > 1_000_000, step
    assert store.finish() is False


def test_an_image_whose_manifest_changed_and_its_files_did_not_is_staged_anew(transfer, make_image, noise, tmp_path):
    image = make_image({"kernel": noise(1000)})
    transfer(image, tmp_path / "web")
    text = (image / "manifest.json").read_text().replace("quiet", "debug")
    (image / "manifest.json").write_text(text)
    store = store_of(image, tmp_path / "web")
    assert store.lacking(remember=True) == []
    assert store.finish() is True
    staged = tmp_path / "web" / ".state" / "staging" / "0123abcd-image" / "manifest.json"
    assert staged.read_text() == text


def test_a_damaged_donor_is_found_out_and_not_trusted_again(transfer, make_image, noise, tmp_path):
    old = noise(400_000)
    image = make_image({"initrd-00": old}, "old", {"initrd-00": 100_000})
    store = store_of(image, tmp_path / "web")
    store.prepare()
    entry = store.lacking(remember=True)[0]
    part = plan.Part(store.parts, entry)
    part.write(memoryview(old))
    part.settle(*store.place(entry))
    path = verified_blobs.blob_path(str(tmp_path / "web"), entry.sha256)
    os.chmod(path, 0o644)
    Path(path).write_bytes(b"?" * len(old))  # rot that no timestamp shows
    store.arrived(entry)
    new = make_image({"initrd-00": noise(50_000) + old}, "new")
    document = json.loads((new / "manifest.json").read_text())
    pieces = [noise(0), *(old[start : start + 100_000] for start in range(0, 400_000, 100_000))]
    content = (new / "initrd-00").read_bytes()
    pieces[0] = content[:50_000]
    document["files"][0]["pieces"] = [{"size": len(piece), "sha256": digest(piece)} for piece in pieces]
    (new / "manifest.json").write_text(json.dumps(document))
    ended = transfer(new, tmp_path / "web")
    assert "initrd-00 arrived as" in str(ended.receiver_error)
    assert f"Pieces of it that were borrowed from {path} here were damaged: run again, they will be fetched" in str(
        ended.receiver_error
    )
    assert "build the image again" not in str(ended.receiver_error)
    assert os.listdir(tmp_path / "web" / ".state" / "pieces") == []
    assert not verified_blobs.is_verified(str(tmp_path / "web"), entry.sha256)


def test_records_of_pieces_may_vanish_while_they_are_looked_at(make_image, noise, tmp_path, monkeypatch):
    store = store_of(make_image({"initrd-00": noise(10)}, cuts={"initrd-00": 5}), tmp_path / "web")
    store.prepare()
    lacking = store.lacking(remember=True)
    here = verified_blobs.blob_path(store.dest, "0" * 64)
    Path(here).write_bytes(b"x")
    verified_blobs.remember_verified(store.dest, "0" * 64, os.stat(here))
    # Listed, and removed by another transfer before they are read (the first) or removed (the second).
    monkeypatch.setattr(blob_store.os, "listdir", lambda folder: ["0" * 64, "1" * 64])
    assert store.donors(lacking) == {}


def test_space_is_checked_before_the_first_byte(make_image, noise, tmp_path, monkeypatch):
    store = store_of(make_image({"kernel": noise(5_000_000)}), tmp_path / "not" / "made" / "yet")
    usage = plan.shutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage._replace(free=4_000_000))
    with pytest.raises(StreamError, match=r"made/yet: 6048576 bytes are needed and 4000000 are free"):
        plan.check_space(store, store.lacking(remember=False))
    assert not (tmp_path / "not").exists()


def test_what_an_interruption_left_here_needs_no_space_again(make_image, noise, tmp_path, monkeypatch):
    store = store_of(make_image({"kernel": noise(5_000_000)}), tmp_path / "web")
    store.prepare()
    lacking = store.lacking(remember=False)
    part = parts.Part(store.parts, lacking[0])
    part.write(memoryview(noise(3_000_000)))
    part.close()
    usage = plan.shutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage._replace(free=2_000_000 + plan.SPARE))
    plan.check_space(store, lacking)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: usage._replace(free=1_999_999 + plan.SPARE))
    with pytest.raises(StreamError, match="3048576 bytes are needed and 3048575 are free"):
        plan.check_space(store, lacking)


def test_a_blob_that_was_changed_since_it_was_verified_lends_nothing(transfer, make_image, noise, tmp_path):
    old = noise(400_000)
    transfer(make_image({"initrd-00": old}, "old", {"initrd-00": 100_000}), tmp_path / "web")
    longer = old + noise(100_000)
    store = store_of(make_image({"initrd-00": longer}, "new", {"initrd-00": 100_000}), tmp_path / "web")
    lacking = store.lacking(remember=True)
    assert len(store.donors(lacking)) == 4
    blob = tmp_path / "web" / "blobs" / "sha256" / digest(old)
    blob.chmod(0o644)
    blob.write_bytes(b"?" * len(old))
    assert store.donors(lacking) == {}


def test_a_bandwidth_limit_is_kept(transfer, make_image, noise, tmp_path):
    ended = transfer(make_image({"kernel": noise(300_000)}), tmp_path / "web", limit=500_000)
    assert ended.receiver_error is None
    assert ended.progress.seconds >= 0.4


def test_many_small_files(transfer, make_image, noise, blobs, tmp_path):
    files = {f"initrd-{number:03d}": noise(number * 7 + 1) for number in range(400)}
    ended = transfer(make_image(files), tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.progress.files_sent == 400
    assert set(blobs(tmp_path / "web").values()) == set(files.values())


def test_a_disk_that_fills_up_is_named_and_what_arrived_is_kept(transfer, make_image, noise, tmp_path, monkeypatch):
    honest = os.pwrite

    def pwrite(descriptor, view, offset):
        if offset >= 2_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(descriptor, view, offset)

    monkeypatch.setattr(parts.os, "pwrite", pwrite)
    ended = transfer(make_image({"kernel": noise(20_000_000)}), tmp_path / "web")
    assert "web: No space left on device. What arrived is kept: free some space and run again" in str(
        ended.receiver_error
    )
    assert ended.sender_error is not None
    assert len(os.listdir(tmp_path / "web" / ".state" / "parts")) == 1


def test_a_file_that_is_no_longer_the_one_of_the_manifest_is_not_begun(make_image, noise):
    path = make_image({"kernel": noise(1000)}) / "kernel"
    os.close(source.open_file(str(path), 1000))
    for size in (999, 1001):
        with pytest.raises(StreamError, match=f"kernel is no longer the file of {size} bytes"):
            source.open_file(str(path), size)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(StreamError, match="kernel cannot be read: Too many levels of symbolic links"):
        source.open_file(str(path), 1000)


def test_the_sender_hears_of_the_end_only_when_the_image_is_complete(
    transfer, make_image, noise, tmp_path, monkeypatch
):
    def refuse(store):
        raise StreamError("the manifest cannot be staged")

    monkeypatch.setattr(BlobStore, "finish", refuse)
    ended = transfer(make_image({"kernel": noise(1000)}), tmp_path / "web")
    assert "cannot be staged" in str(ended.receiver_error)
    assert ended.sender_error is not None
