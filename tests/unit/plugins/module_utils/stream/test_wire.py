# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody on the wire sees: TLS 1.3, no certificate, nothing of the files; and what becomes of somebody else's certificate."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import rendezvous, source
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.blob_store import BlobStore
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.calling import Target, connect
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.receiver import receive
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.rendezvous import Listener
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender import send
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
SUPPORTED_VERSIONS, TLS_1_3 = 43, b"\x03\x04"
SECRET = b"nothing of this may be read on the wire "


@dataclasses.dataclass
class Capture:
    """Both directions of each connection that passed."""

    said: list[tuple[bytearray, bytearray]] = dataclasses.field(default_factory=list)

    def open(self, port: int) -> int:
        """Listen for connections to that port, and record them; the answer is where."""
        server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=(server, port), daemon=True).start()
        return int(server.getsockname()[1])

    def _accept(self, server: socket.socket, port: int) -> None:
        while len(self.said) < 1:
            near = server.accept()[0]
            far = socket.create_connection(("127.0.0.1", port))
            directions = (bytearray(), bytearray())
            self.said.append(directions)
            pairs = ((near, far, directions[0]), (far, near, directions[1]))
            threads = [threading.Thread(target=_copy, args=pair, daemon=True) for pair in pairs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            near.close()
            far.close()
        server.close()


def _copy(here: socket.socket, there: socket.socket, seen: bytearray) -> None:
    try:
        while content := here.recv(65536):
            seen += content
            there.sendall(content)
        there.shutdown(socket.SHUT_WR)
    except OSError:
        return


def records(seen: bytes) -> list[tuple[int, bytes]]:
    """Type and content of each TLS record."""
    found = []
    while seen:
        length = int.from_bytes(seen[3:5], "big")
        found.append((seen[0], seen[5 : 5 + length]))
        seen = seen[5 + length :]
    return found


def chosen_version(hello: bytes) -> bytes:
    """What the server says in its hello's extension supported_versions (RFC 8446, 4.2.1)."""
    rest = hello[4 + 2 + 32 :]  # type and length, legacy version, random
    rest = rest[1 + rest[0] + 2 + 1 + 2 :]  # session id, cipher suite, compression, length of the extensions
    while rest:
        kind, length = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if kind == SUPPORTED_VERSIONS:
            return rest[4 : 4 + length]
        rest = rest[4 + length :]
    return b""


def check_handshake(from_client: bytes, from_server: bytes, keys) -> None:
    """The version is 1.3, and but for the two hellos everything is encrypted, certificates too."""
    shown = [ssl.PEM_cert_to_DER_cert(pair.certificate) for pair in (keys.sender, keys.receiver, keys.stranger)]
    for seen, hello in ((from_client, CLIENT_HELLO), (from_server, SERVER_HELLO)):
        first, *others = records(bytes(seen))
        assert (first[0], first[1][0]) == (HANDSHAKE, hello)
        assert {kind for kind, _content in others} <= {CHANGE_CIPHER_SPEC, APPLICATION_DATA}
        assert not [certificate for certificate in shown if certificate in seen]
    assert chosen_version(records(bytes(from_server))[0][1]) == TLS_1_3


def test_a_capture_shows_tls_1_3_and_nothing_else(keys, make_image, tmp_path):
    image = make_image({"kernel": SECRET * 5_000, "initrd-00": SECRET * 7_000})
    manifest = source.prepare(str(image), "image")
    store = BlobStore(str(tmp_path / "web"), manifest)
    store.prepare()
    overall = Deadline(30, "the transfer")
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall)
    capture = Capture()
    port = capture.open(listener.port)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(10, "the wait"))
        sending = connect(Target(("127.0.0.1",), port), keys.of_sender, "sender", Deadline(10, "connecting"), overall)
        channel = waiting.result()
        sent = pool.submit(send, sending, source.places(str(image), manifest), 0, Progress())
        assert receive(channel, store, store.lacking(remember=True), Progress())
        sent.result()
    sending.close()
    channel.close()
    ((from_client, from_server),) = capture.said
    check_handshake(from_client, from_server, keys)
    assert len(from_client) > 12_000 * len(SECRET)
    assert SECRET not in from_client
    assert b"kernel" not in from_client


def test_a_capture_shows_a_second_host_refused(keys, monkeypatch):
    logged = []
    monkeypatch.setattr(rendezvous.syslog, "syslog", lambda level, text: logged.append(text))
    overall = Deadline(30, "the transfer")
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", overall)
    capture = Capture()
    port = capture.open(listener.port)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(2, "the wait"))
        with pytest.raises(StreamError):
            connect(Target(("127.0.0.1",), port), keys.of_stranger, "sender", Deadline(0.9, "connecting"), overall)
        with pytest.raises(StreamError, match="1 strangers were refused"):
            waiting.result()
    ((from_client, from_server),) = capture.said
    check_handshake(from_client, from_server, keys)
    assert len(from_server) < 4_000  # its handshake and an alert, and no greeting
    assert logged == [f"artifact_stream refused a connection from 127.0.0.1: {listener.refused[0]['reason']}"]
    assert "TLS handshake failed" in logged[0]


def test_a_client_that_speaks_only_tls_1_2_is_refused(keys):
    listener = Listener(range(1), "127.0.0.1", keys.of_receiver, "receiver", Deadline(30, "the transfer"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listener.wait_for_peer, Deadline(1, "the wait"))
        with (
            socket.create_connection(("127.0.0.1", listener.port)) as raw,
            pytest.raises(ssl.SSLError, match="VERSION"),
        ):
            context.wrap_socket(raw)
        with pytest.raises(StreamError, match="1 strangers were refused"):
            waiting.result()
