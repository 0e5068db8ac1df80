# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SDK's client on real sockets: what is on the wire, and what becomes of an endpoint that misbehaves."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import errors, sdk, transport
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import (
    Answer,
    Call,
    Failure,
    SdkTransport,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import Clock

TOKEN = "tok-0123456789"
Behaviour = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Does to each request what it is told to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.behaviours: list[Behaviour] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.seen.append({"method": self.command, "path": self.path, "headers": self.headers, "body": body})
                behaviour = outer.behaviours.pop(0) if outer.behaviours else reply(200, b"{}")
                behaviour(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_words: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def reply(status: int, body: bytes, **headers: str) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    handler.connection.close()


def silence(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)
    handler.close_connection = True


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    reply(200, b'{"id": ', Content_Length="100")(handler)
    handler.wfile.flush()
    handler.close_connection = True


def not_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    handler.close_connection = True


@pytest.fixture
def servers() -> Iterator[Callable[[], Server]]:
    made: list[Server] = []

    def make() -> Server:
        made.append(Server())
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def server(servers: Callable[[], Server]) -> Server:
    return servers()


def make(url: str, timeout: float = 0.5, tries: int = 1, ca_file: str | None = None) -> tuple[SdkTransport, Client]:
    settings = Settings(url=url, token=TOKEN, project_id="p", timeout=timeout, tries=tries, ca_file=ca_file)
    sender = SdkTransport(settings, sdk.load_whole())
    return sender, Client(settings, sender, Clock(sleep=lambda _seconds: None))


def test_what_is_on_the_wire(server: Server) -> None:
    sender, _client = make(server.url + "/metal/v1")
    sender.send(Call("POST", "/projects/p/x", (("include", "devices,plan"),), {"a": [1, None]}))
    seen = server.seen[0]
    assert (seen["method"], seen["path"]) == ("POST", "/metal/v1/projects/p/x?include=devices%2Cplan")
    assert json.loads(seen["body"]) == {"a": [1, None]}
    headers = seen["headers"]
    assert (headers["X-Auth-Token"], headers["Content-Type"]) == (TOKEN, "application/json")
    assert headers["User-Agent"].startswith("nixmetal.builders")


def test_every_call_has_its_time_limits(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before those that wait for a limit, which without one would wait for ever."""
    limits, whole = [], urllib3.connectionpool.HTTPConnectionPool.urlopen

    def urlopen(self: Any, method: str, url: str, *words: Any, **options: Any) -> Any:
        limits.append((method, options["timeout"].connect_timeout, options["timeout"].read_timeout))
        return whole(self, method, url, *words, **options)

    monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "urlopen", urlopen)
    for method in ("GET", "POST", "PUT", "DELETE"):
        make(server.url, timeout=0.7)[0].send(Call(method, "/x", body=None if method == "GET" else {}))
    assert limits == [(method, 0.7, 0.7) for method in ("GET", "POST", "PUT", "DELETE")]


def test_nothing_is_lost_of_an_answer(server: Server) -> None:
    server.behaviours = [reply(422, b'{"errors": ["x"]}', Retry_After="7")]
    answer = make(server.url)[0].send(Call("GET", "/x"))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (422, b'{"errors": ["x"]}', "7")


def test_the_token_does_not_follow_a_redirect(server: Server, servers: Callable[[], Server]) -> None:
    other = servers()
    for status in (301, 302, 303, 307, 308):
        server.behaviours = [reply(status, b"", Location=other.url + "/x")]
        with pytest.raises(errors.ApiError, match="not followed"):
            make(server.url)[1].get("/x")
    assert other.seen == []


@pytest.mark.parametrize("behaviour", [reset, silence, cut_short, not_http])
def test_a_call_without_an_answer_may_have_been_seen(server: Server, behaviour: Behaviour) -> None:
    server.behaviours = [behaviour]
    outcome = make(server.url)[0].send(Call("POST", "/x", body={}))
    assert isinstance(outcome, Failure)
    assert outcome.sent
    assert outcome.reason
    assert len(server.seen) == 1


def test_a_time_limit_counts_once(server: Server) -> None:
    server.behaviours = [silence] * 4
    started = time.monotonic()
    assert isinstance(make(server.url, timeout=0.3)[0].send(Call("GET", "/x")), Failure)
    assert time.monotonic() - started < 1.2
    assert len(server.seen) == 1


def test_a_body_that_trickles_ends(server: Server) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.flush()
        for _byte in range(40):
            try:
                handler.connection.sendall(b" ")
            except OSError:
                return
            time.sleep(0.05)

    server.behaviours = [trickle]
    started = time.monotonic()
    outcome = make(server.url, timeout=0.1)[0].send(Call("GET", "/x"))
    assert isinstance(outcome, Failure)
    assert time.monotonic() - started < 3


def free_port() -> int:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as probe:
        return int(probe.server_address[1])


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid"])
def test_what_cannot_have_been_seen(url: str) -> None:
    outcome = make(url.format(port=free_port()))[0].send(Call("POST", "/x", body={}))
    assert isinstance(outcome, Failure)
    assert not outcome.sent
    assert "object at 0x" not in outcome.reason
    assert outcome.reason


class TlsServer:
    """Reads a call through TLS, writes bytes below TLS that are none of it, and goes away."""

    def __init__(self, pem: Path, junk: bytes) -> None:
        self.seen: list[bytes] = []
        outer = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    secured = context.wrap_socket(self.request.dup(), server_side=True)
                except OSError:
                    return  # The client refused the certificate.
                outer.seen.append(secured.recv(65536))
                self.request.sendall(junk)
                secured.close()

        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self.tcp.server_address[1]}"
        threading.Thread(target=self.tcp.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.tcp.shutdown()
        self.tcp.server_close()


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A key and its certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *private) + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize("junk", [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"\x17\x03\x03\x00\x20" + b"x" * 32, b""])
def test_tls_that_breaks_after_a_purchase_was_read_does_not_repeat_it(pem: Path, junk: bytes) -> None:
    broken = TlsServer(pem, junk)
    with pytest.raises(errors.Doubtful):
        make(broken.url, timeout=5, tries=5, ca_file=str(pem))[1].post("/x", {"a": 1})
    assert [call[:6] for call in broken.seen] == [b"POST /"]
    broken.close()


def test_a_certificate_that_is_refused_means_that_nothing_was_sent(pem: Path) -> None:
    unknown = TlsServer(pem, b"")
    outcome = make(unknown.url, timeout=5)[0].send(Call("POST", "/x", body={}))
    assert isinstance(outcome, Failure)
    assert not outcome.sent
    assert "certificate verify failed" in outcome.reason
    assert unknown.seen == []
    unknown.close()


def test_an_endpoint_without_tls_is_not_taken_for_one_that_was_never_asked(server: Server) -> None:
    outcome = make(server.url.replace("http:", "https:"))[0].send(Call("POST", "/x", body={}))
    assert isinstance(outcome, Failure)
    assert outcome.sent


def test_a_proxy_that_goes_away_with_the_call_may_have_passed_it_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.behaviours = [reset]
    outcome = make("http://metal.invalid/metal/v1")[0].send(Call("POST", "/x", body={}))
    assert isinstance(outcome, Failure)
    assert outcome.sent
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    outcome = make("http://metal.invalid/metal/v1")[0].send(Call("POST", "/x", body={}))
    assert isinstance(outcome, Failure)
    assert not outcome.sent


def test_a_connection_that_was_closed_meanwhile_is_tried_again_for_reading(server: Server) -> None:
    def close_after(handler: BaseHTTPRequestHandler) -> None:
        reply(200, b"{}")(handler)
        handler.close_connection = True

    server.behaviours = [close_after]
    client = make(server.url, tries=3)[1]
    assert client.get("/x") == {}
    assert client.get("/y") == {}


def test_the_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    make("http://metal.invalid/metal/v1")[0].send(Call("GET", "/x"))
    assert server.seen[0]["path"] == "http://metal.invalid/metal/v1/x"
    monkeypatch.setenv("no_proxy", "metal.invalid")
    assert transport.proxy_for("http://metal.invalid/metal/v1") is None


def test_several_threads_share_a_client(server: Server) -> None:
    server.behaviours = [reply(200, json.dumps({"n": number}).encode()) for number in range(64)]
    client = make(server.url, timeout=5)[1]
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda: got.extend(client.get("/x")["n"] for _number in range(8)))
        for _number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(64))


def test_no_word_of_a_failure_holds_the_token(server: Server) -> None:
    echo = reply(500, f"<h1>{TOKEN}</h1>".encode())
    for behaviour in (reset, cut_short, not_http, echo, reply(200, TOKEN.encode())):
        server.behaviours = [behaviour]
        with pytest.raises(errors.MetalError) as caught:
            make(server.url)[1].get("/x")
        assert TOKEN not in str(caught.value)
        assert server.url in str(caught.value)
