# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages between the sides, honest, mutated and random: an answer or a reason, never a hang or a crash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import limits, protocol
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import BlobStore
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import PeerGoneError, StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.manifest import Entry, Manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.protocol import Channel
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.receiver import receive
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender import send
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline

FILES = {"kernel": b"k" * 3000, "initrd-00": b"i" * 100, "initrd-01": b""}
IN_TURN = {
    "max_examples": 60,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def channels(silence: float = 15.0) -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    return Channel(ours, "peer", silence, Deadline(30, "the transfer")), theirs  # type: ignore[arg-type]


def frame(kind: bytes, content: bytes = b"") -> bytes:
    return protocol.HEADER.pack(kind, len(content)) + content


def manifest() -> Manifest:
    entries = tuple(Entry(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in FILES.items())
    return Manifest("image", "0-image", entries, (), "{}")


def answers() -> bytes:
    """What an honest sender says to a receiver that has nothing."""
    return b"".join(frame(protocol.DATA, data) for data in FILES.values() if data)


def try_receiving(folder, said: bytes) -> StreamError | None:
    """Let a receiver listen to something; what it has put into place must be right whatever that was."""
    dest = folder / os.urandom(8).hex()
    store = BlobStore(str(dest), manifest())
    store.prepare()
    channel, theirs = channels()
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    problem = None
    try:
        receive(channel, store, store.lacking(remember=False), Progress())
    except StreamError as error:
        problem = error
    finally:
        channel.close()
        theirs.close()
    for path in (dest / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert {path.name for path in dest.iterdir()} == {"blobs", ".state"}
    return problem


def test_an_honest_sender_is_believed(tmp_path):
    assert try_receiving(tmp_path, answers()) is None
    assert try_receiving(tmp_path, frame(protocol.PING) + answers()) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "closed the connection"),
        (answers()[:-1], "closed the connection"),
        (frame(protocol.DATA, b""), "0 bytes where 3000"),
        (frame(protocol.DATA, b"k" * 3001), "3001 bytes where 3000 bytes of kernel were due"),
        (protocol.HEADER.pack(protocol.DATA, 0xFFFFFFFF), "4294967295 bytes where"),
        (frame(protocol.GO), "kind 3"),
        (frame(b"\xff", b"x"), "kind 255"),
        (frame(protocol.DATA, b"x" * 3000) + answers()[3005:], "kernel arrived as"),
        (frame(protocol.ERROR, b"no\x1b[2Jmore"), r"gave up: no \[2Jmore"),
        (protocol.HEADER.pack(protocol.ERROR, 1 << 30), "announced a message of 1073741824 bytes"),
        (protocol.HEADER.pack(protocol.PING, 1 << 30), "kind 6"),
        (b"GET / HTTP/1.1\r\n\r\n", "kind 71"),
    ],
)
def test_a_sender_that_says_something_else_is_refused(tmp_path, said, reason):
    assert re.search(reason, str(try_receiving(tmp_path, said)))


@settings(**IN_TURN)
@given(st.binary(max_size=400))
def test_a_receiver_survives_random_bytes(tmp_path, said):
    assert try_receiving(tmp_path, said) is not None


@settings(**IN_TURN)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4000)), max_size=8))
def test_a_receiver_survives_random_frames(tmp_path, frames):
    try_receiving(tmp_path, b"".join(frame(bytes([kind]), b"k" * size) for kind, size in frames))


@settings(**IN_TURN)
@given(st.integers(0, len(answers()) - 1), st.integers(1, 255))
def test_a_receiver_finds_every_changed_byte(tmp_path, position, difference):
    said = bytearray(answers())
    said[position] ^= difference
    assert try_receiving(tmp_path, bytes(said)) is not None


HONEST = [frame(protocol.DATA, b"k" * 1000)] * 3 + [frame(protocol.DATA, b"i" * 100)]
MUTATIONS = {
    "drop": lambda frames, at, other: frames[:at] + frames[at + 1 :],
    "double": lambda frames, at, other: frames[: at + 1] + frames[at:],
    "swap": lambda frames, at, other: [*frames[:at], frames[other], *frames[at + 1 :]],
    "cut": lambda frames, at, other: [*frames[:at], frames[at][: other + 1]],
    "kind": lambda frames, at, other: [*frames[:at], bytes([other + 1]) + frames[at][1:], *frames[at + 1 :]],
    "length": lambda frames, at, other: [*frames[:at], frames[at][:1] + b"\xff" + frames[at][2:], *frames[at + 1 :]],
    "ping": lambda frames, at, other: [*frames[:at], frame(protocol.PING), *frames[at:]],
    "insert": lambda frames, at, other: [*frames[:at], frame(bytes([other]), b"x" * at), *frames[at:]],
}


MUTATION = st.tuples(st.sampled_from(sorted(MUTATIONS)), st.integers(0, 50), st.integers(0, 50))


def mutated(frames: list[bytes], mutations: list[tuple[str, int, int]]) -> list[bytes]:
    for name, at, other in mutations:
        if frames:
            frames = MUTATIONS[name](frames, at % len(frames), other % len(frames))
    return list(frames)


def heard(frames: list[bytes]) -> list[bytes]:
    """Without what says only that the other side lives."""
    return [item for item in frames if item != frame(protocol.PING)]


@settings(**{**IN_TURN, "max_examples": 150})
@given(st.lists(MUTATION, max_size=4))
def test_mutated_messages_are_taken_only_where_they_come_to_the_same(tmp_path, mutations):
    frames = mutated(HONEST, mutations)
    begun = time.monotonic()
    problem = try_receiving(tmp_path, b"".join(frames))
    assert time.monotonic() - begun < 12  # nothing waits for what cannot come
    told = heard(frames)
    if told == HONEST:
        assert problem is None
    elif problem is None:  # more than was asked for is not even read
        assert told[: len(HONEST)] == HONEST


SHARED = {f"initrd-{number:02d}": bytes([number]) * (700 + number) for number in range(12)}
LANES = 3


def shared_store(dest: Path) -> BlobStore:
    entries = tuple(Entry(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in SHARED.items())
    store = BlobStore(str(dest), Manifest("image", "0-image", entries, (), "{}"))
    store.prepare()
    return store


def lanes(silence: float = 5.0) -> list[tuple[Channel, socket.socket]]:
    pairs = [channels(silence) for _number in range(LANES)]
    pairs[0][0].lead([lane for lane, _theirs in pairs[1:]])
    return pairs


def answer(theirs: socket.socket, mutations: list[tuple[str, int, int]]) -> tuple[list[bytes], list[bytes]]:
    """One connection of a sender, who answers what it is asked for and then something else; honest frames, and those sent."""
    peer = Channel(theirs, "peer", 5.0, Deadline(30, "the transfer"))  # type: ignore[arg-type]
    contents = {hashlib.sha256(content).digest(): content for content in SHARED.values()}
    honest = [
        frame(protocol.DATA, contents[digest][offset : offset + length])
        for digest, offset, length in protocol.receive_wants(peer)
    ]
    sent = mutated(honest, mutations)
    with contextlib.suppress(StreamError):
        peer.send(b"".join(sent))
        theirs.shutdown(socket.SHUT_WR)
    return honest, heard(sent)


@settings(**{**IN_TURN, "max_examples": 150})
@given(st.lists(st.lists(MUTATION, max_size=2), min_size=LANES, max_size=LANES))
def test_mutated_messages_on_several_connections_are_taken_only_where_they_come_to_the_same(tmp_path, per_lane):
    dest = tmp_path / os.urandom(8).hex()
    store, pairs = shared_store(dest), lanes()
    first = pairs[0][0]
    begun, problem = time.monotonic(), None
    with ThreadPoolExecutor(LANES) as pool:
        answering = [pool.submit(answer, theirs, its) for (_lane, theirs), its in zip(pairs, per_lane, strict=True)]
        try:
            receive(first, store, store.lacking(remember=False), Progress())
        except StreamError as error:
            problem = error
        finally:
            first.close()
        told = [one.result() for one in answering]
    for _lane, theirs in pairs:
        theirs.close()
    assert time.monotonic() - begun < 12  # nothing waits for what cannot come, on whichever connection
    for path in (dest / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert {path.name for path in dest.iterdir()} == {"blobs", ".state"}
    assert all(honest for honest, _sent in told)
    same = all(sent[: len(honest)] == honest for honest, sent in told)
    if all(sent == honest for honest, sent in told):
        assert problem is None
    elif problem is None:
        assert same


def test_garbage_on_one_connection_does_not_wait_for_the_silence_of_another(tmp_path):
    store, pairs = shared_store(tmp_path / "web"), lanes(silence=15)
    pairs[1][1].sendall(b"GET / HTTP/1.1\r\n\r\n")
    begun = time.monotonic()
    with pytest.raises(StreamError, match="kind 71"):
        receive(pairs[0][0], store, store.lacking(remember=False), Progress())
    assert time.monotonic() - begun < 12
    pairs[0][0].close()
    for _lane, theirs in pairs:
        theirs.close()


def try_sending(tmp_path, said: bytes) -> StreamError | None:
    path = tmp_path / "kernel"
    path.write_bytes(b"k" * 3000)
    channel, theirs = channels()
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    try:
        send(channel, {"ab" * 32: (str(path), 3000)}, 0, Progress())
    except StreamError as error:
        return error
    finally:
        channel.close()
        theirs.close()
    return None


def want(digest: str = "ab" * 32, offset: int = 0, length: int = 3000) -> bytes:
    return frame(protocol.WANT, protocol.RANGE.pack(bytes.fromhex(digest), offset, length))


def test_a_sender_answers_and_waits_for_the_end(tmp_path):
    assert try_sending(tmp_path, want() + frame(protocol.GO) + frame(protocol.PING) + frame(protocol.DONE)) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "closed the connection"),
        (want("cd" * 32) + frame(protocol.GO), "not in the manifest"),
        (want(offset=1) + frame(protocol.GO), "not in the manifest"),
        (want(offset=1 << 63, length=1 << 63) + frame(protocol.GO), "not in the manifest"),
        (want()[:-1], "closed the connection"),
        (frame(protocol.WANT, b"x" * 47), "kind 2"),
        (frame(protocol.GO, b"x"), "kind 3"),
        (want() + frame(protocol.GO), "closed the connection"),
        (want() + frame(protocol.GO) + frame(protocol.ERROR, b"disk full"), "gave up: disk full"),
        (want() + frame(protocol.GO) + frame(protocol.DONE, b"?"), "something else than its end"),
        (want() + frame(protocol.GO) + frame(protocol.GO), "a message of kind 3 where 5 was due"),
    ],
)
def test_a_receiver_that_says_something_else_is_refused(tmp_path, said, reason):
    assert re.search(reason, str(try_sending(tmp_path, said)))


@settings(**IN_TURN)
@given(st.binary(max_size=300))
def test_a_sender_survives_random_bytes(tmp_path, said):
    assert try_sending(tmp_path, said) is not None


def test_a_sender_counts_what_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_RANGES", 3)
    assert "more than 3 ranges" in str(try_sending(tmp_path, want(length=1) * 4 + frame(protocol.GO)))


def test_silence_is_not_waited_for_for_ever():
    channel, theirs = channels(silence=0.1)
    with pytest.raises(PeerGoneError, match=r"nothing was heard from the other side for 0\.1 seconds"):
        channel.header()
    channel.close()
    theirs.close()


def test_a_busy_side_says_that_it_lives():
    channel, theirs = channels(silence=0.2)
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        threading.Timer(0.3, done.set).start()
        channel.attend(pool.submit(done.wait))
    theirs.settimeout(5)
    assert theirs.recv(100).startswith(frame(protocol.PING))
    channel.close()
    theirs.close()


def test_a_frame_that_nobody_reads_ends_at_the_deadline():
    ours, theirs = socket.socketpair()
    channel = Channel(ours, "peer", 60, Deadline(0.2, "the transfer"))  # type: ignore[arg-type]
    with pytest.raises(StreamError, match=r"the transfer took longer than the 0\.2 seconds"):
        channel.send(b"x" * 50_000_000)
    channel.close()
    theirs.close()


def test_many_wants_travel_in_several_frames(link):
    ranges = [(bytes([number % 256]) * 32, number, number + 1) for number in range(30_000)]
    thread = threading.Thread(target=protocol.send_wants, args=(link.receiver, ranges))
    thread.start()
    assert protocol.receive_wants(link.sender) == ranges
    thread.join()


def test_the_link_is_tls_1_3(link):
    assert link.sender.describe()["version"] == "TLSv1.3"
    assert isinstance(link.sender._socket, ssl.SSLSocket)
