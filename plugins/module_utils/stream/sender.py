# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sending side: answers what it is asked for, and hashes nothing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import NamedTuple

from . import limits, protocol, source
from .errors import StreamError
from .progress import Progress
from .protocol import HEADER, Channel
from .timing import Limiter


class Frame(NamedTuple):
    """A range that travels in one frame."""

    path: str
    size: int  # of the file
    offset: int
    length: int


def send(channel: Channel, places: dict[str, tuple[str, int]], limit: int, progress: Progress) -> None:
    """Send what the receiver asks for, and wait until it says that all of it is durable."""
    wanted = protocol.receive_wants(channel)
    progress.begin(sum(length for _digest, _offset, length in wanted))
    for digest, offset, length in wanted:
        path, size = places.get(digest.hex(), ("", 0))
        if not path or offset + length > size:
            raise StreamError("the receiver asks for something that is not in the manifest")
    lanes = channel.lanes
    share = max(1, limit // len(lanes)) if limit else 0
    chunk = min(limits.CHUNK, max(limits.SMALL_CHUNK, share // 10)) if share else limits.CHUNK

    def serve(index: int) -> None:
        frames = itertools.islice(_frames(wanted, places, chunk), index, None, len(lanes))
        _serve(Outgoing(lanes[index], chunk, share, progress), frames)

    _side_by_side(lanes, serve)
    if channel.expect(protocol.DONE):
        raise StreamError("the receiver ended with something else than its end")


def _frames(wanted: list[protocol.Range], places: dict[str, tuple[str, int]], chunk: int) -> Iterator[Frame]:
    """What is wanted, cut into frames: the same on each connection, which takes its turn of them."""
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


def _side_by_side(lanes: list[Channel], serve: Callable[[int], None]) -> None:
    """Serve all connections. Where one fails, the receiver hears of it there, and the others are broken."""
    if len(lanes) == 1:
        return serve(0)
    with ThreadPoolExecutor(len(lanes)) as pool:
        serving = {pool.submit(serve, index): lane for index, lane in enumerate(lanes)}
        wait(serving, return_when=FIRST_EXCEPTION)
        for one, lane in serving.items():
            if one.done() and (problem := one.exception()):
                protocol.last_word(lane, str(problem))
                lanes[0].abort()
                raise problem
    return None


class Outgoing:
    """Frames on their way out: the file is read right behind the frame's head, and small frames travel together."""

    def __init__(self, channel: Channel, chunk: int, limit: int, progress: Progress) -> None:
        self._channel = channel
        self._limiter = Limiter(limit)
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
