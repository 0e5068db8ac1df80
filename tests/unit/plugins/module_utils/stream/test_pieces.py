# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pieces that stand twice in one transfer, and files that grow side by side."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import (
    blob_store,
    limits,
    parts,
    pipeline,
    plan,
    source,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import BlobStore
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress


def test_a_piece_that_stands_twice_in_one_transfer_travels_once(transfer, make_image, noise, blobs, tmp_path):
    same, other = noise(300_000), noise(300_000)
    files = {"initrd-00": same + other + same, "initrd-01": other + noise(300_000)}
    cuts = dict.fromkeys(files, 300_000)
    ended = transfer(make_image(files, cuts=cuts), tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.progress.bytes_sent == 900_000
    assert ended.progress.bytes_reused == 600_000
    assert set(blobs(tmp_path / "web").values()) == set(files.values())


def test_files_that_grow_side_by_side_lend_to_each_other(transfer, make_image, noise, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SLICE", 70_000)
    honest = parts.Part.write

    def write(self, view):
        if self.entry.name == "initrd-01":
            time.sleep(0.02)  # the one that lends lags behind
        honest(self, view)

    monkeypatch.setattr(parts.Part, "write", write)
    shared = [noise(200_000) for _number in range(4)]
    files = {
        "initrd-00": noise(600_000),
        "initrd-01": b"".join(shared),
        "initrd-02": b"".join(reversed(shared)),
        "initrd-03": shared[3] + noise(200_000),
        "initrd-04": noise(10),
    }
    ended = transfer(make_image(files, cuts=dict.fromkeys(files, 200_000)), tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.progress.bytes_sent == 800_000 + 600_000 + 200_000 + 10
    assert ended.progress.bytes_reused == 800_000 + 200_000
    assert set(blobs(tmp_path / "web").values()) == set(files.values())


def test_a_manifest_that_calls_two_pieces_the_same_blames_no_file_that_was_here(transfer, make_image, noise, tmp_path):
    image = make_image({"initrd-00": noise(300_000)}, cuts={"initrd-00": 100_000})
    document = json.loads((image / "manifest.json").read_text())
    pieces = document["files"][0]["pieces"]
    pieces[2]["sha256"] = pieces[0]["sha256"]
    (image / "manifest.json").write_text(json.dumps(document))
    ended = transfer(image, tmp_path / "web")
    assert ended.progress.bytes_reused == 100_000
    assert "build the image again" in str(ended.receiver_error)
    assert os.listdir(tmp_path / "web" / "blobs" / "sha256") == []


def test_a_lender_is_followed_to_its_last_name_and_no_other_file_is_taken_for_it(make_image, noise, tmp_path):
    content = noise(1000)
    store = BlobStore(
        str(tmp_path / "web"),
        source.prepare(str(make_image({"initrd-00": content}, cuts={"initrd-00": 500})), "image"),
    )
    store.prepare()
    entry = store.lacking(remember=True)[0]
    job = plan.make_jobs(store, [entry])[0]
    line = pipeline.Pipeline(store, Progress())
    try:
        part = line._part(job)
        part.write(memoryview(content))
        donor = blob_store.Donor(store.place(entry)[0], 0, entry.sha256, arriving=True)
        Path(donor.path).write_bytes(b"?" * 1000)  # what stood there before was damaged: that is why it travels
        assert read_all(line._open_donor(donor)) == content
        part.settle(*store.place(entry))
        Path(part.path).write_bytes(b"!" * 1000)  # another transfer begins the same contents anew
        assert read_all(line._open_donor(donor)) == content
        os.unlink(donor.path)
        with pytest.raises(StreamError, match="went away while it lent pieces; run again"):
            line._open_donor(donor)
    finally:
        line.stop()


def test_a_thread_that_cannot_be_started_is_told_and_holds_nobody_up(make_image, noise, tmp_path, monkeypatch):
    image = source.prepare(str(make_image({"initrd-00": noise(1000)})), "image")
    store = BlobStore(str(tmp_path / "web"), image)
    store.prepare()
    job = plan.make_jobs(store, [store.lacking(remember=True)[0]])[0]
    line = pipeline.Pipeline(store, Progress())

    def cannot(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(line, "write", cannot)
    intake = line.intake(0)
    try:
        intake.write(job, intake.buffer(), memoryview(b"x"))
        with pytest.raises(StreamError, match="lacks memory or threads: can't start new thread"):
            take_all(intake)
    finally:
        line.stop()


def take_all(intake: pipeline.Intake) -> None:
    for _number in range(1000):  # more than there are buffers
        intake.buffer()


def read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb") as stream:
        return stream.read()
