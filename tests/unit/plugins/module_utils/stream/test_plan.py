# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a lacking file is cut into what comes over the wire and what is borrowed."""

from __future__ import annotations

import hashlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import Donor
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.manifest import Entry, Piece
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.plan import Segment, segments


def name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_a_file_without_pieces_comes_whole():
    assert segments(Entry("kernel", 10, name(0)), 0, {}) == [Segment(0, 10)]


def test_a_file_that_is_complete_needs_nothing():
    assert segments(Entry("kernel", 10, name(0)), 10, {}) == []
    assert segments(Entry("kernel", 0, name(0)), 0, {}) == []


def test_neighbours_over_the_wire_are_one_range():
    entry = Entry("initrd", 30, name(0), pieces=(Piece(10, name(1)), Piece(10, name(2)), Piece(10, name(3))))
    donor = Donor("/blob", 700, name(9))
    assert segments(entry, 0, {name(3): donor}) == [Segment(0, 20), Segment(20, 10, donor)]


def test_a_piece_that_was_begun_is_continued_from_its_donor():
    entry = Entry("initrd", 20, name(0), pieces=(Piece(10, name(1)), Piece(10, name(2))))
    donor = Donor("/blob", 700, name(9))
    assert segments(entry, 4, {name(1): donor}) == [Segment(4, 6, Donor("/blob", 704, name(9))), Segment(10, 10)]


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
    for segment in segments(Entry("initrd", total, name(50), pieces=pieces), start, donors):
        assert segment.offset == position
        assert segment.length > 0
        position += segment.length
    assert position == total
