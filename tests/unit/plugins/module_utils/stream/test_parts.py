# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Part files: whatever stands in them after an interruption, what comes out is right."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import limits, parts
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.manifest import Entry
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.parts import Part

STEP = 1000


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(limits, "MARK_STEP", STEP)


def entry_of(content: bytes) -> Entry:
    return Entry("initrd-00", len(content), hashlib.sha256(content).hexdigest())


def begin(folder: Path, content: bytes, count: int) -> Path:
    """Write the first bytes, as a transfer that was killed then would have."""
    part = Part(str(folder), entry_of(content))
    for start in range(0, count, 100):
        part.write(memoryview(content[start : min(count, start + 100)]))
    part.close()
    return Path(part.path)


def test_a_new_part_is_empty_and_private(tmp_path):
    part = Part(str(tmp_path), entry_of(b"abc"))
    assert part.length == 0
    assert os.stat(part.path).st_mode & 0o777 == 0o600
    part.close()


def test_a_part_is_continued_at_its_last_mark(tmp_path, noise):
    content = noise(5000)
    begin(tmp_path, content, 3500)
    part = Part(str(tmp_path), entry_of(content))
    assert part.length == 3000
    part.write(memoryview(content[3000:]))
    part.verify()
    part.settle(str(tmp_path / "done"), 0o444)
    assert (tmp_path / "done").read_bytes() == content
    assert os.listdir(tmp_path) == ["done"]


def test_a_part_that_ends_with_its_last_mark_is_kept_whole(tmp_path, noise):
    content = noise(5000)
    begin(tmp_path, content, 3000)
    part = Part(str(tmp_path), entry_of(content))
    assert part.length == 3000
    part.close()


def test_a_part_that_is_swept_away_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    lock = fcntl.flock

    def late(descriptor, how):
        monkeypatch.setattr(parts.fcntl, "flock", lock)
        os.unlink(tmp_path / entry_of(b"abc").sha256)
        lock(descriptor, how)

    monkeypatch.setattr(parts.fcntl, "flock", late)
    part = Part(str(tmp_path), entry_of(b"abc"))
    part.write(memoryview(b"abc"))
    part.settle(str(tmp_path / "done"), 0o444)
    assert (tmp_path / "done").read_bytes() == b"abc"


def test_a_part_that_is_whole_needs_nothing(tmp_path, noise):
    content = noise(2500)
    begin(tmp_path, content, 2500)
    part = Part(str(tmp_path), entry_of(content))
    assert part.length == 2500
    part.verify()
    part.close()


def test_a_beginning_that_changed_since_is_not_believed(tmp_path, noise):
    content = noise(5000)
    path = begin(tmp_path, content, 3500)
    with open(path, "r+b") as stream:
        stream.seek(1500)
        stream.write(b"????")
    part = Part(str(tmp_path), entry_of(content))
    assert part.length == 1000
    part.close()


def refuse(*_arguments):
    raise OSError(18, "Invalid cross-device link")


@pytest.mark.parametrize("by_kernel", [True, False])
def test_what_is_borrowed_is_copied_hashed_and_remembered(tmp_path, noise, monkeypatch, by_kernel):
    if not by_kernel:
        monkeypatch.setattr(parts.os, "copy_file_range", refuse)
    content, view = noise(5000), memoryview(bytearray(700))
    (tmp_path / "donor").write_bytes(b"before" + content)
    part = Part(str(tmp_path), entry_of(content))
    with open(tmp_path / "donor", "rb") as donor:
        while part.length < 5000:
            assert 0 < part.borrow(donor.fileno(), 6 + part.length, view) <= 700
        part.verify()
        assert part.borrow(donor.fileno(), 5006, view) == 0
    part.close()
    again = Part(str(tmp_path), entry_of(content))
    assert again.length == 5000
    marks = Path(again.path + ".journal").read_text().splitlines()
    assert [int(line.split()[0]) for line in marks] == [1400, 2800, 4200]
    again.settle(str(tmp_path / "done"), 0o444)
    assert (tmp_path / "done").read_bytes() == content


def test_a_lender_of_other_contents_is_found_out(tmp_path, noise):
    (tmp_path / "donor").write_bytes(noise(500))
    part = Part(str(tmp_path), entry_of(b"x" * 500))
    with open(tmp_path / "donor", "rb") as donor:
        assert part.borrow(donor.fileno(), 0, memoryview(bytearray(1000))) == 500
    with pytest.raises(StreamError, match="borrowed from a donor here were damaged"):
        part.verify("a donor")


@pytest.mark.parametrize("by_kernel", [True, False])
def test_no_more_is_borrowed_than_the_file_lacks(tmp_path, noise, monkeypatch, by_kernel):
    if not by_kernel:
        monkeypatch.setattr(parts.os, "copy_file_range", refuse)
    content = noise(500)
    (tmp_path / "donor").write_bytes(content + noise(500))
    part = Part(str(tmp_path), entry_of(content))
    with open(tmp_path / "donor", "rb") as donor:
        assert part.borrow(donor.fileno(), 0, memoryview(bytearray(1000))) == 500
    part.verify()
    part.settle(str(tmp_path / "done"), 0o444)
    assert (tmp_path / "done").read_bytes() == content


def test_more_than_was_announced_is_refused(tmp_path):
    part = Part(str(tmp_path), entry_of(b"abc"))
    with pytest.raises(StreamError, match="more than the 3 bytes of initrd-00"):
        part.write(memoryview(b"abcd"))
    part.close()


@pytest.mark.parametrize("content", [b"abd", b"ab"])
def test_wrong_contents_are_named_and_removed(tmp_path, content):
    part = Part(str(tmp_path), entry_of(b"abc"))
    part.write(memoryview(content))
    with pytest.raises(StreamError, match="initrd-00 arrived as"):
        part.verify()
    assert os.listdir(tmp_path) == []


def test_two_transfers_of_the_same_contents_do_not_share_a_part(tmp_path):
    first, second = Part(str(tmp_path), entry_of(b"abc")), Part(str(tmp_path), entry_of(b"abc"))
    assert first.path != second.path
    for part in (first, second):
        part.write(memoryview(b"abc"))
        part.verify()
        part.settle(str(tmp_path / "done"), 0o444)
    assert os.listdir(tmp_path) == ["done"]


def test_a_link_in_place_of_a_part_is_not_followed(tmp_path):
    entry = entry_of(b"abc")
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / entry.sha256).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Part(str(tmp_path), entry)
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_sweep_removes_what_nobody_wants_or_holds(tmp_path, noise):
    wanted, unwanted, busy = noise(3000), noise(4000), noise(2000)
    kept = begin(tmp_path, wanted, 2000)
    old = begin(tmp_path, unwanted, 2000)
    os.utime(old, (0, time.time() - limits.PART_SECONDS - 60))
    held = Part(str(tmp_path), entry_of(busy))
    (tmp_path / ("ab" * 32 + "-0123456789abcdef")).write_bytes(b"of a transfer that is no more")
    (tmp_path / ("cd" * 32 + ".journal")).write_bytes(b"of no part")
    parts.sweep(str(tmp_path), {entry_of(wanted).sha256})
    assert sorted(os.listdir(tmp_path)) == sorted([kept.name, kept.name + ".journal", Path(held.path).name])
    assert parts.interrupted(str(tmp_path)) == {kept.name: 2000, Path(held.path).name: 0}
    held.close()


def test_sweep_spares_what_a_transfer_holds_however_old_it_is(tmp_path):
    held = [Part(str(tmp_path), entry_of(b"abc")) for _number in range(2)]  # the second one has a name of its own
    for part in held:
        os.utime(part.path, (0, 0))
    parts.sweep(str(tmp_path), set())
    assert {path.name for path in tmp_path.iterdir()} == {Path(part.path).name for part in held}
    for part in held:
        part.close()
    parts.sweep(str(tmp_path), set())
    assert os.listdir(tmp_path) == []


def test_sweep_keeps_what_another_image_may_soon_go_on_with(tmp_path, noise):
    other = begin(tmp_path, noise(3000), 2000)
    parts.sweep(str(tmp_path), set())
    assert sorted(os.listdir(tmp_path)) == [other.name, other.name + ".journal"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
@given(
    written=st.integers(0, 5000),
    cut=st.integers(0, 6000),
    flipped=st.none() | st.integers(0, 4999),
    journal=st.none() | st.binary(max_size=200),
    torn=st.integers(0, 80),
)
def test_whatever_an_interruption_leaves_the_result_is_right(tmp_path, noise, written, cut, flipped, journal, torn):
    folder = tmp_path / os.urandom(8).hex()
    folder.mkdir()
    content = noise(5000)
    path = begin(folder, content, written)
    notes = Path(f"{path}.journal")
    if journal is not None:
        notes.write_bytes(journal)
    elif notes.exists():
        notes.write_bytes(notes.read_bytes()[: max(0, notes.stat().st_size - torn)])
    os.truncate(path, cut)  # shorter or, with zeros, longer than what was written
    if flipped is not None and flipped < cut:
        with open(path, "r+b") as stream:
            stream.seek(flipped)
            stream.write(b"?")
    part = Part(str(folder), entry_of(content))
    assert path.read_bytes() == content[: part.length]
    part.write(memoryview(content[part.length :]))
    part.verify()
    part.settle(str(folder / "done"), 0o444)
    assert (folder / "done").read_bytes() == content
    assert os.listdir(folder) == ["done"]


def test_a_part_that_somebody_else_cuts_is_found_out(tmp_path, noise, monkeypatch):
    content, honest = noise(500), os.copy_file_range

    def cut(donor, part, *rest):
        count = honest(donor, part, *rest)
        os.ftruncate(part, 100)
        return count

    monkeypatch.setattr(parts.os, "copy_file_range", cut)
    (tmp_path / "donor").write_bytes(content)
    part = Part(str(tmp_path), entry_of(content))
    with (
        open(tmp_path / "donor", "rb") as donor,
        pytest.raises(StreamError, match="was made shorter while it was written; nobody else may write there"),
    ):
        part.borrow(donor.fileno(), 0, memoryview(bytearray(500)))
    part.close()


def test_what_a_killed_process_left_hidden_is_swept_when_nobody_can_be_at_work_on_it(tmp_path):
    for name in (".old", ".new", "shown"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
        (tmp_path / f"{name}.txt").write_bytes(b"x")
    for name in (".old", ".old.txt", "shown", "shown.txt"):
        os.utime(tmp_path / name, (0, time.time() - limits.SCRATCH_SECONDS - 60))
    parts.sweep_scratch(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".new", ".new.txt", "shown", "shown.txt"]
