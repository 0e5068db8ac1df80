# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading JSON over HTTP with the standard library alone: a whole answer of status 200, or an error in words."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

LARGEST_ANSWER = 64 * 1024 * 1024
# What a module that asks an address takes; the documentation fragment http_json says what it means.
OPTIONS: dict[str, dict[str, Any]] = {
    "headers": {"type": "dict", "default": {}, "no_log": True},
    "ca_file": {"type": "path"},
    "http_timeout": {"type": "float", "default": 10.0},
}


class HttpJsonError(Exception):
    """There is no whole answer. The text names the address without its query, and never a header."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: what stands in a header is not carried to another host."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> urllib.request.Request | None:
        return None


def read_json(
    url: str, headers: Mapping[str, str] | None = None, timeout: float = 10.0, ca_file: str | None = None
) -> Any:
    """What the address answers with status 200, parsed."""
    place = shown(url)
    if urlsplit(url).scheme not in ("http", "https"):
        raise HttpJsonError(f"{place}: not an http or https address")
    request = urllib.request.Request(url, headers={"Accept": "application/json", **(headers or {})})  # noqa: S310 - checked above
    try:
        with _opener(ca_file).open(request, timeout=timeout) as answer:
            body = answer.read(LARGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise HttpJsonError(f"{place}: status {error.code}") from error
    except http.client.HTTPException as error:
        raise HttpJsonError(f"{place}: the answer broke off ({type(error).__name__})") from error
    except (OSError, ValueError) as error:
        raise HttpJsonError(f"{place}: {getattr(error, 'reason', None) or error}") from error
    return _parsed(place, body)


def read_as_asked(url: str, options: Mapping[str, Any]) -> Any:
    """The same, as a module's OPTIONS say."""
    return read_json(url, options["headers"], options["http_timeout"], options["ca_file"])


def shown(url: str) -> str:
    """The address as it may be shown: without a login in it, and without its query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _opener(ca_file: str | None) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=ca_file)
    return urllib.request.build_opener(_NoRedirect(), urllib.request.HTTPSHandler(context=context))


def _parsed(place: str, body: bytes) -> Any:
    if len(body) > LARGEST_ANSWER:
        raise HttpJsonError(f"{place}: the answer is larger than {LARGEST_ANSWER} bytes")
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HttpJsonError(f"{place}: the answer is not JSON, or not the whole of it ({len(body)} bytes)") from error
