# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sending side: answers what it is asked for, and hashes nothing."""

from __future__ import annotations

import os

from . import limits, protocol, source
from .errors import StreamError
from .progress import Progress
from .protocol import HEADER, Channel
from .timing import Limiter


def send(channel: Channel, places: dict[str, tuple[str, int]], limit: int, progress: Progress) -> None:
    """Send what the receiver asks for, and wait until it says that all of it is durable."""
    wanted = protocol.receive_wants(channel)
    progress.begin(sum(length for _digest, _offset, length in wanted))
    outgoing = Outgoing(channel, limit, progress)
    for digest, offset, length in wanted:
        path, size = places.get(digest.hex(), ("", 0))
        if not path or offset + length > size:
            raise StreamError("the receiver asks for something that is not in the manifest")
        _send_range(outgoing, path, size, (offset, length))
    outgoing.flush()
    if channel.expect(protocol.DONE):
        raise StreamError("the receiver ended with something else than its end")


def _send_range(outgoing: Outgoing, path: str, size: int, piece: tuple[int, int]) -> None:
    offset, length = piece
    descriptor = source.open_file(path, size)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_SEQUENTIAL)
        while length:
            count = outgoing.take(descriptor, offset, length)
            if not count:
                raise StreamError(f"{path} became shorter while it was sent")
            offset, length = offset + count, length - count
    finally:
        os.close(descriptor)


class Outgoing:
    """Frames on their way out: the file is read right behind the frame's head, and small frames travel together."""

    def __init__(self, channel: Channel, limit: int, progress: Progress) -> None:
        self._channel = channel
        self._limiter = Limiter(limit)
        self._progress = progress
        chunk = min(limits.CHUNK, max(limits.SMALL_CHUNK, limit // 10)) if limit else limits.CHUNK
        self._view = memoryview(bytearray(chunk + HEADER.size))
        self._used = 0

    def take(self, descriptor: int, offset: int, length: int) -> int:
        """Read the next bytes of a file into a frame; the answer is how many."""
        if len(self._view) - self._used < min(length, limits.SMALL_CHUNK) + HEADER.size:
            self.flush()
        begin = self._used + HEADER.size
        count = os.preadv(descriptor, [self._view[begin : begin + length]], offset)
        if count:
            HEADER.pack_into(self._view, self._used, protocol.DATA, count)
            self._used = begin + count
            self._progress.bytes_sent += count
        return count

    def flush(self) -> None:
        """Send what was gathered."""
        if self._used:
            self._limiter.spend(self._used)
            self._channel.send(self._view[: self._used])
            self._used = 0
