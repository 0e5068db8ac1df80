# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a receiver asks for: the parts of lacking files that neither an interruption nor another file left here."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Optional, Protocol

from . import limits, parts
from .blob_store import Donor
from .errors import StreamError
from .manifest import Entry
from .parts import Part

SPARE = 1 << 20  # for names, journals and records


class Store(Protocol):
    """A destination, whatever its layout."""

    dest: str
    parts: str

    def lacking(self, remember: bool) -> list[Entry]:
        """What has to travel."""

    def prepare(self) -> None:
        """Make the directories."""

    def close(self) -> None:
        """Let go of what prepare took."""

    def donors(self, lacking: list[Entry]) -> dict[str, Donor]:
        """Where pieces stand already."""

    def distrust(self, digest: str) -> None:
        """Forget that a file was verified."""

    def place(self, entry: Entry) -> tuple[str, int]:
        """Path and mode of contents."""

    def arrived(self, entry: Entry) -> None:
        """Note contents that have their name."""

    def is_finished(self) -> bool:
        """Whether there is nothing to do at all."""

    def finish(self) -> bool:
        """Complete the destination."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """A range of a file: from the wire, or from a donor."""

    offset: int
    length: int
    donor: Donor | None = None


@dataclasses.dataclass
class Job:
    """One file that has to come into place."""

    entry: Entry
    segments: list[Segment]
    part: Part | None = None  # opened early only when something was left of it
    lane: int = 0  # which of the files that grow side by side
    flush: Future[None] | None = None  # under way

    def close(self) -> None:
        """Let go of the part, whatever became of it."""
        if self.part:
            self.part.close()

    @property
    def borrows_from_another(self) -> bool:
        """Whether it needs another file of the same transfer."""
        lenders = [segment.donor for segment in self.segments if segment.donor]
        return any(donor.arriving and donor.digest != self.entry.sha256 for donor in lenders)

    @property
    def donors(self) -> dict[str, str]:
        """Paths of the files that it borrows from and that were here before, by digest."""
        lenders = [segment.donor for segment in self.segments if segment.donor]
        return {donor.digest: donor.path for donor in lenders if not donor.arriving}


Step = tuple[Job, Optional[Segment]]  # no segment: the file is complete


def plan_lanes(jobs: list[Job], count: int) -> list[list[Step]]:
    """What comes over each connection. Over a single one two files come side by side; over several each brings files of its own."""
    if count == 1:
        return [list(schedule(jobs, limits.FILES_AT_ONCE))]
    shares: list[list[Job]] = [[] for _number in range(count)]
    sizes = [0] * count
    together = any(job.borrows_from_another for job in jobs)  # a file must not wait for what another connection brings
    for job in jobs:
        lane = 0 if together else sizes.index(min(sizes))
        shares[lane].append(job)
        sizes[lane] += 1 + sum(segment.length for segment in job.segments)
    steps = [list(schedule(share, 1)) for share in shares]
    for lane, share in enumerate(shares):
        for job in share:
            job.lane = lane
    return steps


def schedule(jobs: list[Job], width: int) -> Iterator[Step]:
    """The order in which everything comes: so many files grow side by side, a slice of each in turn.

    A file that borrows from one that arrives too begins when all before it has come.
    """
    length = sum(segment.length for job in jobs for segment in job.segments if not segment.donor)
    size = max(limits.SLICE, length // limits.MAX_SLICES)
    waiting = deque(jobs)
    growing: deque[tuple[Job, Iterator[Segment]]] = deque()
    while waiting or growing:
        while waiting and len(growing) < width and not (growing and waiting[0].borrows_from_another):
            job = waiting.popleft()
            job.lane = _free_lane(growing)
            growing.append((job, _slices(job, size)))
        job, slices = growing.popleft()
        segment = next(slices, None)
        yield job, segment
        if segment:
            growing.append((job, slices))


def _free_lane(growing: Iterable[tuple[Job, Iterator[Segment]]]) -> int:
    taken = {job.lane for job, _slices_left in growing}
    return next(lane for lane in itertools.count() if lane not in taken)


def _slices(job: Job, size: int) -> Iterator[Segment]:
    """A file's segments; those that come over the wire are cut."""
    for segment in job.segments:
        if segment.donor:
            yield segment
        else:
            end = segment.offset + segment.length
            for offset in range(segment.offset, end, size):
                yield Segment(offset, min(size, end - offset))


def make_jobs(store: Store, lacking: list[Entry]) -> list[Job]:
    """A job for each lacking file; parts that an earlier transfer left are read and continued."""
    left = parts.interrupted(store.parts)
    donors = store.donors(lacking)
    jobs = []
    for entry in lacking:
        part = Part(store.parts, entry) if left.get(entry.sha256) else None
        jobs.append(Job(entry, segments(entry, part.length if part else 0, donors, store.place(entry)[0]), part))
    return jobs


def segments(entry: Entry, start: int, donors: dict[str, Donor], path: str) -> list[Segment]:
    """Cut what is left of a file at the borders between what is here and what is not.

    What comes over the wire lends from then on, so that a piece that stands twice in one transfer travels once.
    """
    found: list[Segment] = []
    offset = 0
    for piece in entry.pieces:
        skip = max(0, start - offset)
        if skip < piece.size:
            donor = donors.get(piece.sha256)
            moved = donor._replace(offset=donor.offset + skip) if donor else None
            _add(found, Segment(offset + skip, piece.size - skip, moved))
        donors.setdefault(piece.sha256, Donor(path, offset, entry.sha256, arriving=True))
        offset += piece.size
    if not entry.pieces and start < entry.size:
        found.append(Segment(start, entry.size - start))
    return found


def check_space(store: Store, lacking: list[Entry]) -> None:
    """Refuse before the first byte what the file system cannot hold."""
    left = parts.interrupted(store.parts)
    needed = sum(max(0, entry.size - left.get(entry.sha256, 0)) for entry in lacking) + SPARE
    existing = store.dest
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing) or "/"
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise StreamError(
            f"{store.dest}: {needed} bytes are needed and {free} are free. Free some, remove old releases, or give a "
            "dest on another file system; nothing was sent"
        )


def _add(found: list[Segment], segment: Segment) -> None:
    """Join ranges that both come over the wire."""
    last = found[-1] if found else None
    if last and not last.donor and not segment.donor:
        found[-1] = Segment(last.offset, last.length + segment.length)
    else:
        found.append(segment)
