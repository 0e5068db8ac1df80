# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of the API, sent once over the SDK's connections: the raw answer, or why there is none.

Redirects are refused, because the SDK would follow them to another host with the token. The SDK's own tries are off: it repeats
calls by rules of its own, and each time-out would count four times.
"""

from __future__ import annotations

import dataclasses
import functools
import ssl
import time
import urllib.request
from collections.abc import Mapping
from typing import Any, Callable, Protocol
from urllib.parse import quote, urlsplit

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.sdk import Sdk
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings

USER_AGENT = "nixmetal.builders (Ansible) metal-python"
CHUNK = 65536
# A body that trickles is given up after this many times the time limit of one wait.
BODY_PATIENCE = 10


@dataclasses.dataclass(frozen=True)
class Call:
    """What is asked: the path below the endpoint, and the query and body that go with it."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Failure:
    """No answer. `sent` is false only when the service cannot have seen the call."""

    reason: str
    sent: bool


class Transport(Protocol):
    """Whatever sends calls: the SDK, or a stand-in of a test."""

    def send(self, call: Call) -> Answer | Failure: ...


class SdkTransport:
    """Sends calls over the SDK's connections. One of them may be used by several threads."""

    def __init__(
        self, settings: Settings, sdk: Sdk, connections: int = 4, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._sdk = sdk
        self._monotonic = monotonic
        self._connections = self._connect(connections)

    def _connect(self, most: int) -> Any:
        configuration = self._sdk.configuration(host=self._settings.url)
        configuration.retries = False
        configuration.connection_pool_maxsize = most
        configuration.ssl_ca_cert = self._settings.ca_file
        configuration.proxy = proxy_for(self._settings.url)
        connections = self._sdk.connections(configuration)
        pool = connections.pool_manager
        pool.request = functools.partial(pool.request, redirect=False)
        return connections

    def send(self, call: Call) -> Answer | Failure:
        from urllib3 import exceptions  # noqa: PLC0415 - it comes with the SDK, and a host without it gets a message

        not_connected = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError)
        try:
            return self._exchange(call)
        except (*not_connected, exceptions.LocationValueError) as error:
            return Failure(_reason(error), sent=False)
        except exceptions.ProxyError as error:
            # urllib3 says this as well of a proxy that took the call and went away.
            return Failure(_reason(error), sent=not isinstance(error.original_error, not_connected))
        except self._sdk.error as error:
            # The SDK turns each TLS error into this, also of a connection that broke after the call was read.
            return Failure(" ".join(str(error.reason).split()), sent=not _is_certificate_error(error))
        except (exceptions.HTTPError, OSError) as error:
            return Failure(_reason(error), sent=True)

    def _exchange(self, call: Call) -> Answer:
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT, "X-Auth-Token": self._settings.token}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        limit = self._settings.timeout
        raw = self._connections.request(
            call.method, self._url(call), headers, call.body, _request_timeout=(limit, limit)
        ).response
        try:
            return Answer(raw.status, self._read(raw), {name.lower(): value for name, value in raw.headers.items()})
        finally:
            raw.release_conn()

    def _url(self, call: Call) -> str:
        query = "&".join(f"{name}={quote(value)}" for name, value in call.query)
        return f"{self._settings.url}{call.path}" + (f"?{query}" if query else "")

    def _read(self, raw: Any) -> bytes:
        deadline = self._monotonic() + BODY_PATIENCE * self._settings.timeout
        chunks = []
        for chunk in raw.stream(CHUNK):
            chunks.append(chunk)
            if self._monotonic() > deadline:
                raw.close()
                raise TimeoutError(
                    f"the answer trickled for more than {BODY_PATIENCE * self._settings.timeout:g} seconds"
                )
        return b"".join(chunks)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL, as other programs understand it; the SDK looks at none."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _is_certificate_error(error: BaseException) -> bool:
    """True when the service's certificate was refused, which the handshake alone does: nothing was sent after it."""
    cause: BaseException | None = error
    while cause is not None:
        if any(isinstance(told, ssl.SSLCertVerificationError) for told in (cause, *cause.args)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _reason(error: BaseException) -> str:
    # urllib3 puts the connection object's name before the words that matter.
    text = " ".join(str(error).split())
    return (
        text.rsplit("object at 0x", 1)[-1].partition(": ")[2]
        if "object at 0x" in text
        else text or type(error).__name__
    )
