# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages between the two sides of a transfer.

After the TLS handshake both sides greet; whoever connected says which of how many connections this one is. Then the receiver
asks on each: frames WANT, each a list of (digest, offset, length), and GO. The sender answers there with the contents of these
ranges, in that order, as frames DATA that never cross a range. The receiver ends with DONE on the first connection once
everything is durable. PING says that a side lives while it is busy; ERROR carries a last word. A frame is one byte of kind,
four bytes of length, and that many bytes.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeVar

from . import limits, tls
from .errors import PeerGoneError, RefusedError, StreamError
from .timing import Deadline

HEADER = struct.Struct(">cI")
RANGE = struct.Struct(">32sQQ")
GREETING = re.compile(rb"nixmetal-stream 2 (sender|receiver) ([0-9]{1,2})/([0-9]{1,2})")

HELLO, WANT, GO, DATA, DONE, PING, ERROR = (bytes([code]) for code in range(1, 8))
Range = tuple[bytes, int, int]
Result = TypeVar("Result")


class Place(NamedTuple):
    """Which of how many connections one is."""

    number: int = 0
    total: int = 1


ALONE = Place()


class Channel:
    """One connection to the peer, with a limit on silence and one on the whole transfer. It may lead others."""

    def __init__(self, secured: ssl.SSLSocket, address: str, silence: float, deadline: Deadline) -> None:
        self._socket = secured
        self._deadline = deadline
        self.address = address
        self._silence = silence
        self._others: list[Channel] = []

    @property
    def lanes(self) -> list[Channel]:
        """All connections to the peer, this one first."""
        return [self, *self._others]

    def lead(self, others: list[Channel]) -> None:
        """Take more connections to the same peer along."""
        self._others = others

    @property
    def silence(self) -> float:
        """Seconds without a byte after which the peer counts as gone."""
        return self._silence

    @silence.setter
    def silence(self, seconds: float) -> None:
        for lane in self.lanes:
            lane._silence = seconds

    def describe(self) -> dict[str, str]:
        """Protocol version and cipher."""
        return tls.describe(self._socket)

    def send(self, content: bytes | bytearray | memoryview) -> None:
        """Send bytes that already hold whole frames."""
        with self._guard():
            self._socket.sendall(content)

    def send_frame(self, kind: bytes, content: bytes = b"") -> None:
        """Send one frame."""
        self.send(HEADER.pack(kind, len(content)) + content)

    def header(self) -> tuple[bytes, int]:
        """Kind and length of the next frame that is neither PING nor ERROR."""
        head = bytearray(HEADER.size)
        while True:
            self.fill(memoryview(head))
            kind, length = HEADER.unpack(head)
            if kind == ERROR:
                raise StreamError(f"the other side gave up: {_readable(self.content(length))}")
            if kind != PING or length:
                return kind, length

    def content(self, length: int) -> bytes:
        """The content of a frame that is not data."""
        if length > limits.MAX_CONTROL:
            raise StreamError(f"the peer announced a message of {length} bytes")
        content = bytearray(length)
        self.fill(memoryview(content))
        return bytes(content)

    def expect(self, kind: bytes) -> bytes:
        """The content of the next frame, which must be of this kind."""
        found, length = self.header()
        if found != kind:
            raise StreamError(f"the peer sent a message of kind {found[0]} where {kind[0]} was due")
        return self.content(length)

    def fill(self, view: memoryview) -> None:
        """Receive exactly as many bytes as the view holds."""
        with self._guard():
            while view:
                count = self._socket.recv_into(view)
                if not count:
                    raise PeerGoneError("the other side closed the connection")
                view = view[count:]

    def attend(self, work: Future[Result]) -> Result:
        """Wait for work on this side, and keep the peer from taking it for silence."""
        while not wait([work], timeout=min(self.silence / 4, 5.0)).done:
            self._deadline.check()
            self.send_frame(PING)
        return work.result()

    def abort(self) -> None:
        """Break the connection, from another thread too."""
        for lane in self.lanes:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(lane._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection, and those that it leads."""
        self.abort()
        for lane in self.lanes:
            lane._socket.close()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        left = self._deadline.check()
        try:
            self._socket.settimeout(min(self.silence, left))
            yield
        except socket.timeout as problem:
            self._deadline.check()
            raise PeerGoneError(f"nothing was heard from the other side for {self.silence:g} seconds") from problem
        except (OSError, ValueError) as problem:
            raise PeerGoneError(f"the connection to the other side broke ({problem})") from problem


def greet(channel: Channel, role: str, place: Place = ALONE) -> Place:
    """Exchange greetings: both certificates are proved only when the peer has spoken. The answer is what the peer says."""
    channel.send_frame(HELLO, f"nixmetal-stream 2 {role} {place.number}/{place.total}".encode("ascii"))
    found = GREETING.fullmatch(channel.expect(HELLO))
    told = Place(int(found[2]), int(found[3])) if found else ALONE
    if not found or found[1] == role.encode("ascii") or not told.number < told.total <= limits.MAX_CONNECTIONS:
        raise RefusedError("it does not speak as the other side of this transfer")
    return told


def send_wants(channel: Channel, ranges: Iterable[Range]) -> None:
    """Ask for ranges, in the order in which they are to come."""
    batch = bytearray()
    for item in ranges:
        batch += RANGE.pack(*item)
        if len(batch) + RANGE.size > limits.MAX_CONTROL // 2:
            channel.send_frame(WANT, bytes(batch))
            batch.clear()
    if batch:
        channel.send_frame(WANT, bytes(batch))
    channel.send_frame(GO)


def receive_wants(channel: Channel) -> list[Range]:
    """What the receiver asks for."""
    ranges: list[Range] = []
    while True:
        kind, length = channel.header()
        content = channel.content(length)
        if kind == GO and not length:
            return ranges
        if kind != WANT or length % RANGE.size:
            raise StreamError(f"the receiver sent a message of kind {kind[0]} instead of what it lacks")
        ranges.extend(RANGE.iter_unpack(content))
        if len(ranges) > limits.MAX_RANGES:
            raise StreamError(f"the receiver asks for more than {limits.MAX_RANGES} ranges")


def serve_all(lanes: list[Channel], serve: Callable[[int], None]) -> None:
    """Serve every connection, each in a thread of its own where there are several. Where one fails, all are broken."""
    if len(lanes) == 1:
        serve(0)
        return
    with ThreadPoolExecutor(len(lanes)) as pool:
        serving = {pool.submit(serve, index): lane for index, lane in enumerate(lanes)}
        wait(serving, return_when=FIRST_EXCEPTION)
        for one, lane in serving.items():
            if one.done() and (problem := one.exception()):
                last_word(lane, str(problem))
                lanes[0].abort()
                raise problem


def last_word(channel: Channel, text: str) -> None:
    """Tell the peer why this side ends, if it still listens."""
    with contextlib.suppress(StreamError):
        channel.send_frame(ERROR, text.encode("utf-8", "replace")[:4000])


def _readable(content: bytes) -> str:
    """A message of the peer without what could disturb a terminal or a log."""
    text = content[:4000].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text)
