# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the peer among strangers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import limits, rendezvous, tls
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.calling import Target, connect
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import (
    PeerGoneError,
    RefusedError,
    StreamError,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.protocol import Channel, greet
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.rendezvous import Listener
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.tls import Identity


def overall() -> Deadline:
    return Deadline(30, "the transfer")


def listen(keys, ports=range(1), address="127.0.0.1") -> Listener:
    return Listener(ports, address, keys.of_receiver, "receiver", overall())


def reach(listener: Listener, identity: Identity, seconds: float = 5.0, role: str = "sender"):
    return connect(Target(("127.0.0.1",), listener.port), identity, role, Deadline(seconds, "connecting"), overall())


def meet(listener: Listener, identity: Identity):
    """Both ends, after whoever else came."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(10, "the wait"))
        ours = reach(listener, identity)
        theirs = waiting.result()
    ours.close()
    theirs.close()


def refusals(listener: Listener, visit) -> list[dict[str, str]]:
    """What is noted about a visitor, when the peer comes only after him."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(20, "the wait"))
        visit(listener.port)
        ours = reach(listener, visit.keys.of_sender)
        theirs = waiting.result()
    ours.close()
    theirs.close()
    return listener.refused


class Visit:
    """Somebody who is not the peer."""

    def __init__(self, keys, act) -> None:
        self.keys = keys
        self._act = act

    def __call__(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            self._act(raw)
            with contextlib.suppress(OSError):
                while raw.recv(1000):
                    pass


def test_the_two_sides_find_each_other(keys):
    listener = listen(keys)
    meet(listener, keys.of_sender)
    assert listener.refused_count == 0


def test_the_port_is_closed_once_the_peer_is_there(keys):
    listener = listen(keys)
    meet(listener, keys.of_sender)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", listener.port), timeout=5)


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 5000, os.urandom(300), b"\x16\x03\x01\xff\xff"]
)
def test_garbage_is_refused_and_changes_nothing(keys, said):
    def act(raw):
        raw.sendall(said)
        with contextlib.suppress(OSError):  # it may be refused, and closed, by then
            raw.shutdown(socket.SHUT_WR)

    found = refusals(listen(keys), Visit(keys, act))
    assert [item["address"] for item in found] == ["127.0.0.1"]
    assert found[0]["reason"]


def test_a_stranger_with_another_certificate_is_refused(keys):
    listener = listen(keys)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(20, "the wait"))
        with pytest.raises(PeerGoneError, match="was not reached within"):
            reach(listener, keys.of_stranger, seconds=0.5)
        ours = reach(listener, keys.of_sender)
        theirs = waiting.result()
    ours.close()
    theirs.close()
    assert any("CERTIFICATE" in item["reason"].upper() for item in listener.refused)


def test_a_stranger_without_a_certificate_is_refused(keys):
    def act(raw):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with contextlib.suppress(OSError), context.wrap_socket(raw.dup()) as secured:
            secured.recv(10)

    found = refusals(listen(keys), Visit(keys, act))
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in found[0]["reason"]


def test_an_older_protocol_is_refused(keys):
    def act(raw):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with contextlib.suppress(OSError), context.wrap_socket(raw.dup()):
            pytest.fail("TLS 1.2 was accepted")

    found = refusals(listen(keys), Visit(keys, act))
    assert "UNSUPPORTED_PROTOCOL" in found[0]["reason"]


def test_who_connects_believes_only_the_pinned_certificate(keys):
    impostor = Identity(*keys.stranger, keys.sender.certificate)
    listener = Listener(range(1), "127.0.0.1", impostor, "receiver", overall())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(2, "the wait"))
        with pytest.raises(PeerGoneError, match="CERTIFICATE_VERIFY_FAILED"):
            reach(listener, keys.of_sender, seconds=0.5)
        with pytest.raises(StreamError, match="strangers were refused"):
            waiting.result()


def test_two_of_the_same_role_do_not_talk(keys):
    listener = listen(keys)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(2, "the wait"))
        with pytest.raises(PeerGoneError):
            reach(listener, keys.of_sender, seconds=0.5, role="receiver")
        with pytest.raises(StreamError, match="did not come"):
            waiting.result()


def test_a_visitor_who_says_nothing_is_sent_away(keys, monkeypatch):
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 0.3)
    found = refusals(listen(keys), Visit(keys, lambda raw: None))
    assert found == [{"address": "127.0.0.1", "reason": "no TLS handshake in time"}]


def test_the_peer_is_found_among_many_silent_visitors(keys, monkeypatch):
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 1.0)
    monkeypatch.setattr(limits, "MAX_HANDSHAKES", 4)
    listener = listen(keys)
    visitors = [socket.create_connection(("127.0.0.1", listener.port)) for _number in range(12)]
    meet(listener, keys.of_sender)
    for visitor in visitors:
        visitor.close()
    assert listener.refused_count >= 8


def test_nobody_comes(keys):
    listener = listen(keys)
    with pytest.raises(StreamError, match=rf"did not come to port {listener.port} within 0\.2 seconds"):
        listener.wait_for_peer(Deadline(0.2, "the wait"))


def test_the_wait_ends_when_it_is_stopped(keys):
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(StreamError, match="did not come"):
        listen(keys).wait_for_peer(Deadline(60, "the wait"), stopped)


def test_nobody_listens(keys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(PeerGoneError, match=rf"port {port} of the other side .* \(127\.0\.0\.1: .*refused"):
        connect(Target(("127.0.0.1",), port), keys.of_sender, "sender", Deadline(0.3, "connecting"), overall())


def test_addresses_are_tried_in_turn(keys):
    listener = listen(keys)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(10, "the wait"))
        target = Target(("127.0.0.2", "127.0.0.1"), listener.port)
        ours = connect(target, keys.of_sender, "sender", Deadline(5, "connecting"), overall())
        theirs = waiting.result()
    assert ours.address == "127.0.0.1"
    ours.close()
    theirs.close()


def test_the_first_free_port_of_a_range_is_taken(keys):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        listener = listen(keys, range(port, port + 20))
        assert port < listener.port < port + 20
        listener.close()


def test_a_port_in_use_is_named(keys):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(StreamError, match=rf"ports: none of {port} can be listened on .*in use.* set ports"):
            listen(keys, range(port, port + 1))


def test_an_address_of_another_host_is_no_hindrance(keys):
    listener = listen(keys, address="192.0.2.77")  # behind an address translation, say
    meet(listener, keys.of_sender)


def test_who_listens_may_begin_the_handshake(keys):
    listener = Listener(range(1), "127.0.0.1", keys.of_sender, "sender", overall(), server=False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(10, "the wait"))
        with socket.create_connection(("127.0.0.1", listener.port)) as stranger:
            stranger.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 10)
            stranger.recv(1000)
        raw = socket.create_connection(("127.0.0.1", listener.port))
        context = tls.context(keys.of_receiver, server=True)
        secured = tls.secure(raw, context, keys.of_receiver, server=True)
        channel = Channel(secured, "127.0.0.1", 5, overall())
        greet(channel, "receiver")
        waiting.result().close()
        channel.close()
    assert listener.refused_count == 1


def test_ipv6(keys):
    try:
        listener = listen(keys, address="::1")
    except StreamError:
        pytest.skip("no IPv6 here")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(10, "the wait"))
        ours = connect(Target(("::1",), listener.port), keys.of_sender, "sender", Deadline(5, "connecting"), overall())
        theirs = waiting.result()
    assert theirs.address == "::1"
    ours.close()
    theirs.close()


def test_own_addresses_face_the_peer():
    assert rendezvous.own_addresses(["127.0.0.1"]) == ["127.0.0.1"]
    assert rendezvous.own_addresses(["no-number", ""]) == []


def test_a_key_leaves_no_file_behind(keys, tmp_path, monkeypatch):
    monkeypatch.setattr(tls.tempfile, "tempdir", str(tmp_path))
    monkeypatch.delattr(tls.os, "memfd_create")
    seen = []
    honest = ssl.SSLContext.load_cert_chain

    def watched(self, path, *args):
        seen.append((path, os.stat(path).st_mode & 0o777))
        return honest(self, path, *args)

    monkeypatch.setattr(tls.ssl.SSLContext, "load_cert_chain", watched)
    tls.context(keys.of_sender, server=False)
    assert seen[0][1] == 0o600
    assert os.listdir(tmp_path) == []


def test_an_identity_does_not_show_its_key(keys):
    assert "PRIVATE" not in repr(keys.of_sender)


def test_only_the_pinned_certificate_will_do_though_another_is_trusted(keys):
    """As one that the peer's own would have signed."""
    ours, theirs = socket.socketpair()
    pinned = dataclasses.replace(keys.of_receiver, peer_certificate=keys.stranger.certificate)
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        shaking = pool.submit(tls.secure, theirs, tls.context(keys.of_sender, False), keys.of_sender, False)
        with pytest.raises(RefusedError, match="another certificate than the peer's"):
            tls.secure(ours, tls.context(keys.of_receiver, True), pinned, True)
        shaking.result().close()
