# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sending side: answers what it is asked for, and hashes nothing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import limits, protocol, source
from .errors import StreamError
from .progress import Progress
from .protocol import HEADER, Channel, serve_all
from .timing import Limiter


class Frame(NamedTuple):
    """A range that travels in one frame."""

    path: str
    size: int  # of the file
    offset: int
    length: int


def send(channel: Channel, places: dict[str, tuple[str, int]], limit: int, progress: Progress) -> None:
    """Send what the receiver asks for on each connection, and wait until it says that all of it is durable."""
    lanes = channel.lanes
    wanted = [protocol.receive_wants(lane) for lane in lanes]
    progress.begin(sum(length for ranges in wanted for _digest, _offset, length in ranges))
    for digest, offset, length in itertools.chain.from_iterable(wanted):
        path, size = places.get(digest.hex(), ("", 0))
        if not path or offset + length > size:
            raise StreamError("the receiver asks for something that is not in the manifest")
    chunk = min(limits.CHUNK, max(limits.SMALL_CHUNK, limit // 10)) if limit else limits.CHUNK
    limiter = Limiter(limit)
    serve_all(
        lanes,
        lambda index: _serve(Outgoing(lanes[index], chunk, limiter, progress), _frames(wanted[index], places, chunk)),
    )
    if channel.expect(protocol.DONE):
        raise StreamError("the receiver ended with something else than its end")


def _frames(wanted: list[protocol.Range], places: dict[str, tuple[str, int]], chunk: int) -> Iterator[Frame]:
    """What is wanted, cut into frames."""
    for digest, offset, length in wanted:
        path, size = places[digest.hex()]
        for start in range(offset, offset + length, chunk):
            yield Frame(path, size, start, min(chunk, offset + length - start))


def _serve(outgoing: Outgoing, frames: Iterable[Frame]) -> None:
    """Send one connection's frames; a file stays open for as long as they are of it."""
    for (path, size), group in itertools.groupby(frames, key=lambda frame: (frame.path, frame.size)):
        descriptor = source.open_file(path, size)
        try:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            for frame in group:
                outgoing.take(descriptor, frame)
        finally:
            os.close(descriptor)
    outgoing.flush()


class Outgoing:
    """Frames on their way out: the file is read right behind the frame's head, and small frames travel together."""

    def __init__(self, channel: Channel, chunk: int, limiter: Limiter, progress: Progress) -> None:
        self._channel = channel
        self._limiter = limiter
        self._progress = progress
        self._view = memoryview(bytearray(chunk + HEADER.size))
        self._used = 0

    def take(self, descriptor: int, frame: Frame) -> None:
        """Read a frame's range of a file."""
        if len(self._view) - self._used < frame.length + HEADER.size:
            self.flush()
        HEADER.pack_into(self._view, self._used, protocol.DATA, frame.length)
        begin, end = self._used + HEADER.size, self._used + HEADER.size + frame.length
        offset = frame.offset
        while begin < end:
            count = os.preadv(descriptor, [self._view[begin:end]], offset)
            if not count:
                raise StreamError(f"{frame.path} became shorter while it was sent")
            begin, offset = begin + count, offset + count
        self._used = end
        self._progress.count(sent=frame.length)

    def flush(self) -> None:
        """Send what was gathered."""
        if self._used:
            self._limiter.spend(self._used)
            self._channel.send(self._view[: self._used])
            self._used = 0
