# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON over HTTP: the whole of it, or an error that shows no secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils import http_json
from ansible_collections.nixmetal.builders.plugins.module_utils.http_json import (
    HttpJsonError,
    read_as_asked,
    read_json,
    shown,
)

ANSWERS = {
    "/good": (200, b'{"a": 1}', 8),
    "/error": (500, b"{}", 2),
    "/cut": (200, b'{"a": ', 8),
    "/half": (200, b'{"a": ', 6),
    "/text": (200, b"<html>", 6),
    "/latin": (200, b'"\xe9"', 3),
    "/empty": (200, b"", 0),
    "/nothing": (204, b"", 0),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        status, body, length = ANSWERS[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Asked", self.headers.get("Authorization", ""))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_answer_is_parsed(url: str) -> None:
    assert read_json(f"{url}/good?q=1", {"Authorization": "Bearer x"}) == {"a": 1}


@pytest.mark.parametrize("path", ["/error", "/cut", "/half", "/text", "/latin", "/empty", "/nothing", "/away"])
def test_anything_else_is_an_error(url: str, path: str) -> None:
    with pytest.raises(HttpJsonError, match=path):
        read_json(f"{url}{path}?token=secret", {"Authorization": "Bearer secret"}, timeout=5)


def test_a_redirect_is_not_followed_with_what_the_headers_say(url: str) -> None:
    with pytest.raises(HttpJsonError, match="status 302"):
        read_json(f"{url}/away", {"Authorization": "Bearer secret"}, timeout=5)


def test_an_answer_without_an_end_is_not_read_to_the_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "LARGEST_ANSWER", 8)
    assert read_json(f"{url}/good") == {"a": 1}
    monkeypatch.setattr(http_json, "LARGEST_ANSWER", 7)
    with pytest.raises(HttpJsonError, match="good: the answer is larger than 7 bytes"):
        read_json(f"{url}/good")


def test_a_module_asks_as_its_options_say(url: str) -> None:
    options = {"headers": {"Authorization": "Bearer x"}, "http_timeout": 5.0, "ca_file": None}
    assert read_as_asked(f"{url}/good", options) == {"a": 1}


@pytest.mark.parametrize("wrong", ["file:///etc/passwd", "http://127.0.0.1:1/x", "gopher://x", "x"])
def test_what_is_no_address_or_answers_nothing_is_an_error(wrong: str) -> None:
    with pytest.raises(HttpJsonError):
        read_json(wrong, timeout=2)


def test_a_login_in_the_address_and_the_query_are_not_shown() -> None:
    assert shown("https://user:secret@p.example.org/x?token=secret") == "https://p.example.org/x"
