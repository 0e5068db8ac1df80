# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several connections between two sides: how they are made, what travels over them, and what becomes of failures."""

from __future__ import annotations

import errno
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import (
    calling,
    limits,
    parts,
    protocol,
    sender,
    tls,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.calling import Target, connect
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import PeerGoneError, StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.protocol import Channel, Place
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.rendezvous import Listener
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline

FOUR = pytest.mark.parametrize("connections", [4])


def overall() -> Deadline:
    return Deadline(30, "the transfer")


def carried(channel: Channel) -> list[int]:
    """Bytes that each connection has received, as the kernel counts them (tcpi_bytes_received)."""
    found = []
    for lane in channel.lanes:
        info = lane._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
        found.append(int.from_bytes(info[128:136], "little"))
    return found


@FOUR
def test_files_are_shared_out_among_all_connections(link, transfer, make_image, noise, blobs, tmp_path):
    files = {"kernel": noise(5_000_000), **{f"initrd-{number:02d}": noise(number * 4001) for number in range(1, 40)}}
    ended = transfer(make_image(files), tmp_path / "web")
    assert ended.receiver_error is None
    assert ended.sender_error is None
    assert len(link.receiver.lanes) == 4
    assert set(blobs(tmp_path / "web").values()) == set(files.values())
    assert ended.progress.bytes_sent == sum(map(len, files.values()))
    assert min(carried(link.receiver)) > 900_000


@FOUR
def test_all_connections_share_one_limit(transfer, make_image, noise, tmp_path, monkeypatch):
    made = []

    class Counted(sender.Limiter):
        def __init__(self, rate):
            made.append(rate)
            super().__init__(rate)

    monkeypatch.setattr(sender, "Limiter", Counted)
    ended = transfer(make_image({"kernel": noise(1000)}), tmp_path / "web", limit=4_000_000)
    assert (ended.sender_error, ended.receiver_error) == (None, None)
    assert made == [4_000_000], "a connection that has nothing to send keeps a share"


@FOUR
def test_what_a_failure_leaves_is_a_beginning_that_the_next_run_goes_on_with(
    transfer, make_image, noise, tmp_path, monkeypatch
):
    honest = os.pwrite

    def pwrite(descriptor, view, offset):
        if offset >= 6_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(descriptor, view, offset)

    monkeypatch.setattr(parts.os, "pwrite", pwrite)
    content = noise(20_000_000)
    ended = transfer(make_image({"kernel": content}), tmp_path / "web")
    assert "No space left on device. What arrived is kept" in str(ended.receiver_error)
    assert ended.sender_error is not None
    (part,) = (path for path in (tmp_path / "web/.state/parts").iterdir() if path.suffix != ".journal")
    left = part.read_bytes()
    assert 6_000_000 <= len(left) <= 7_100_000
    assert content.startswith(left)


@FOUR
def test_a_file_that_shrinks_is_told_whichever_connection_it_was_on(transfer, make_image, noise, tmp_path, monkeypatch):
    honest = os.preadv

    def preadv(descriptor, views, offset):
        return (
            0 if offset == 6 * limits.CHUNK else honest(descriptor, views, offset)
        )  # the seventh frame: the third one's

    image = make_image({"kernel": noise(20_000_000)})
    monkeypatch.setattr("ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender.os.preadv", preadv)
    begun = time.monotonic()
    ended = transfer(image, tmp_path / "web")
    assert time.monotonic() - begun < 5
    assert "became shorter while it was sent" in str(ended.sender_error)
    assert ended.receiver_error is not None
    assert not list((tmp_path / "web/blobs/sha256").iterdir())


@FOUR
def test_a_bandwidth_limit_is_that_of_all_connections_together(transfer, make_image, noise, tmp_path):
    ended = transfer(make_image({"kernel": noise(300_000)}), tmp_path / "web", limit=500_000)
    assert ended.receiver_error is None
    assert ended.progress.seconds >= 0.35


@FOUR
def test_all_connections_end_together(link):
    link.sender.silence = 0.5
    assert [lane.silence for lane in link.sender.lanes] == [0.5] * 4
    link.sender.abort()
    for lane in link.receiver.lanes:
        with pytest.raises(StreamError, match="closed the connection"):
            lane.header()


def come(keys, port: int, place: Place) -> Channel:
    """One connection of the sender's."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    secured = tls.secure(raw, tls.context(keys.of_sender, server=False), keys.of_sender, server=False)
    channel = Channel(secured, "127.0.0.1", 5, overall())
    protocol.greet(channel, "sender", place)
    return channel


def test_a_peer_that_lost_some_of_its_connections_begins_anew(keys):
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(20, "the wait"))
        lost = [come(keys, listener.port, Place(number, 3)) for number in (0, 2)]
        found = [come(keys, listener.port, Place(number, 2)) for number in (1, 0)]
        channel = waiting.result()
    for number, lane in enumerate(channel.lanes):
        found[1 - number].send_frame(protocol.DONE, str(number).encode())
        assert lane.expect(protocol.DONE) == str(number).encode()
    for gone in lost:
        with pytest.raises(StreamError, match=r"closed the connection|broke"):
            gone.header()
    for one in (channel, *found, *lost):
        one.close()


def test_a_peer_that_comes_with_less_than_it_said_is_waited_for_and_given_up(keys):
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(1, "the wait"))
        one = come(keys, listener.port, Place(0, 2))
        with pytest.raises(StreamError, match="did not come to port"):
            waiting.result()
    with pytest.raises(StreamError, match=r"closed the connection|broke"):
        one.header()
    one.close()


@pytest.mark.parametrize("place", [Place(1, 1), Place(0, 0), Place(0, limits.MAX_CONNECTIONS + 1), Place(100, 200)])
def test_numbers_that_cannot_be_are_refused(keys, place):
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(1, "the wait"))
        come(keys, listener.port, place).close()
        with pytest.raises(StreamError, match="1 strangers were refused"):
            waiting.result()
    assert listener.refused[0]["reason"] == "it does not speak as the other side of this transfer"


@pytest.mark.parametrize(("seconds", "count"), [(-1.0, limits.FAR_CONNECTIONS), (60.0, 1)])
def test_only_a_host_that_is_far_gets_several_connections_by_itself(keys, monkeypatch, seconds, count):
    monkeypatch.setattr(limits, "FAR_SECONDS", seconds)
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(10, "the wait"))
        target = Target(("127.0.0.1",), listener.port, 0)
        ours = connect(target, keys.of_sender, "sender", Deadline(5, "connecting"), overall())
        theirs = waiting.result()
    assert len(ours.lanes) == len(theirs.lanes) == count
    ours.close()
    theirs.close()


def test_the_way_is_as_long_as_the_kernel_says_however_busy_the_host_is(keys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as raw:
        assert 0 < calling._round_trip(raw, 7.0) < 1.0
        monkeypatch.setattr(calling.sys, "platform", "plan9")
        assert calling._round_trip(raw, 7.0) == 7.0


def test_a_call_whose_later_connection_fails_leaves_none_open(keys, monkeypatch):
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall())
    honest, made = socket.create_connection, []

    def create_connection(*args, **kwargs):
        if len(made) == 2:
            raise OSError("no more")
        made.append(honest(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(calling.socket, "create_connection", create_connection)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(2, "the wait"))
        with pytest.raises(StreamError, match="no more"):
            connect(
                Target(("127.0.0.1",), listener.port, 3), keys.of_sender, "sender", Deadline(1, "connecting"), overall()
            )
        with pytest.raises(StreamError, match="did not come"):
            waiting.result()


def test_each_address_has_its_share_of_the_time(keys, monkeypatch):
    given = {}

    def call(caller, address, target, limit):
        given[address] = limit
        if address != "192.0.2.3":
            raise PeerGoneError("silent")
        return "the channel"

    monkeypatch.setattr(calling.Caller, "call", call)
    target = Target(("192.0.2.1", "192.0.2.2", "192.0.2.3"), 9)
    assert connect(target, keys.of_sender, "sender", Deadline(6, "connecting"), overall()) == "the channel"
    assert given["192.0.2.1"] <= 2
    assert given["192.0.2.2"] <= 3
