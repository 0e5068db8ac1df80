# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a lacking file is cut into what comes over the wire and what is borrowed."""

from __future__ import annotations

import hashlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import limits
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import Donor
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.manifest import Entry, Piece
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.plan import (
    Job,
    Segment,
    plan_lanes,
    schedule,
    segments,
)


def name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_a_file_without_pieces_comes_whole():
    assert segments(Entry("kernel", 10, name(0)), 0, {}, "/new") == [Segment(0, 10)]


def test_a_file_that_is_complete_needs_nothing():
    assert segments(Entry("kernel", 10, name(0)), 10, {}, "/new") == []
    assert segments(Entry("kernel", 0, name(0)), 0, {}, "/new") == []


def test_neighbours_over_the_wire_are_one_range():
    entry = Entry("initrd", 30, name(0), pieces=(Piece(10, name(1)), Piece(10, name(2)), Piece(10, name(3))))
    donor = Donor("/blob", 700, name(9))
    assert segments(entry, 0, {name(3): donor}, "/new") == [Segment(0, 20), Segment(20, 10, donor)]


def test_a_piece_that_was_begun_is_continued_from_its_donor():
    entry = Entry("initrd", 20, name(0), pieces=(Piece(10, name(1)), Piece(10, name(2))))
    donor = Donor("/blob", 700, name(9))
    assert segments(entry, 4, {name(1): donor}, "/new") == [
        Segment(4, 6, Donor("/blob", 704, name(9))),
        Segment(10, 10),
    ]


def test_a_piece_that_stands_twice_is_lent_by_where_it_stood_first():
    donors: dict[str, Donor] = {}
    first = Entry("initrd-00", 30, name(0), pieces=(Piece(10, name(1)), Piece(10, name(2)), Piece(10, name(1))))
    lent = Donor("/first", 0, name(0), arriving=True)
    assert segments(first, 0, donors, "/first") == [Segment(0, 20), Segment(20, 10, lent)]
    second = Entry("initrd-01", 20, name(9), pieces=(Piece(10, name(3)), Piece(10, name(2))))
    lent = Donor("/first", 10, name(0), arriving=True)
    assert segments(second, 0, donors, "/second") == [Segment(0, 10), Segment(10, 10, lent)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(0, 20), max_size=8),
    present=st.sets(st.integers(0, 7)),
    start=st.integers(0, 160),
)
def test_the_segments_fill_exactly_what_is_left(sizes, present, start):
    pieces = tuple(Piece(size, name(number)) for number, size in enumerate(sizes))
    total = sum(sizes)
    start = min(start, total)
    donors = {name(number): Donor("/blob", 1000 * number, name(99)) for number in present}
    position = start
    for segment in segments(Entry("initrd", total, name(50), pieces=pieces), start, donors, "/new"):
        assert segment.offset == position
        assert segment.length > 0
        assert not (segment.donor and segment.donor.arriving)  # each piece is another one
        position += segment.length
    assert position == total


def jobs_of(files: list[list[int]]) -> list[Job]:
    """A job for each file; equal numbers are equal pieces, of as many bytes as the number says."""
    donors: dict[str, Donor] = {name(99): Donor("/old", 0, name(98))}
    jobs = []
    for number, sizes in enumerate(files):
        pieces = tuple(Piece(size, name(size)) for size in sizes)
        entry = Entry(f"initrd-{number}", sum(sizes), name(1000 + number), pieces=pieces)
        jobs.append(Job(entry, segments(entry, 0, donors, f"/{number}")))
    return jobs


def test_two_files_grow_side_by_side_and_the_third_takes_the_place_of_the_first_that_is_complete(monkeypatch):
    monkeypatch.setattr(limits, "SLICE", 10)
    jobs = jobs_of([[15], [31], [6]])
    steps = [(job.entry.name, segment and (segment.offset, segment.length)) for job, segment in schedule(jobs, 2)]
    assert steps == [
        ("initrd-0", (0, 10)), ("initrd-1", (0, 10)), ("initrd-0", (10, 5)), ("initrd-1", (10, 10)), ("initrd-0", None),
        ("initrd-1", (20, 10)), ("initrd-2", (0, 6)), ("initrd-1", (30, 1)), ("initrd-2", None), ("initrd-1", None),
    ]  # fmt: skip
    assert [job.lane for job in jobs] == [0, 1, 0]


def test_each_connection_brings_files_of_its_own_unless_one_borrows_from_another():
    apart = plan_lanes(jobs_of([[15], [31], [6]]), 2)
    assert [[job.entry.name for job, segment in steps if not segment] for steps in apart] == [
        ["initrd-0", "initrd-2"],
        ["initrd-1"],
    ]
    together = plan_lanes(jobs_of([[15], [31], [6, 15]]), 2)
    assert [[job.entry.name for job, segment in steps if not segment] for steps in together] == [
        ["initrd-0", "initrd-1", "initrd-2"],
        [],
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=st.lists(st.lists(st.integers(1, 40), max_size=6), max_size=6), width=st.integers(1, 4))
def test_a_schedule_brings_every_byte_once_in_order_and_lenders_first(files, width):
    jobs = jobs_of(files)
    length = {job.entry.sha256: 0 for job in jobs}
    growing: list[Job] = []
    complete = []
    for job, segment in schedule(jobs, width):
        if job not in growing:
            growing.append(job)
            assert len({other.lane for other in growing}) == len(growing) <= width
        if segment is None:
            growing.remove(job)
            complete.append(job)
            continue
        assert segment.offset == length[job.entry.sha256]
        if segment.donor:
            assert length[segment.donor.digest] >= segment.donor.offset + segment.length
        length[job.entry.sha256] += segment.length
    assert sorted(job.entry.name for job in complete) == sorted(job.entry.name for job in jobs)
    assert all(length[job.entry.sha256] == job.entry.size for job in jobs)


def test_ranges_stay_within_what_a_sender_answers():
    entry = Entry("initrd", limits.MAX_SIZE, name(0))
    steps = schedule([Job(entry, segments(entry, 0, {}, "/new"))], 2)
    assert sum(1 for _step in steps) < limits.MAX_RANGES // 5
