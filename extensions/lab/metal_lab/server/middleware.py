# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Around every call: faults, the record of calls, and the commit that precedes each answer."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metal_lab.core.cloud import Cloud
from metal_lab.server.faults import Fault, Faults, plain_path, slow_down
from metal_lab.server.limits import Headers, Limits
from metal_lab.server.protocol import abort_connection

# What machines ask for themselves, by no token and under no limit.
MACHINES_OWN = frozenset({"/metadata", "/userdata", "/phone-home", "/events"})


class LabMiddleware:
    """Pure ASGI, so that an answer can be cut short or withheld."""

    def __init__(self, app: ASGIApp, cloud: Cloud, faults: Faults, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._cloud = cloud
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # packet-python asks for //market/spot/prices; production took it.
            scope["path"] = "/" + "/".join(part for part in scope["path"].split("/") if part)
        if scope["type"] != "http" or scope["path"].startswith("/lab/"):
            await self._app(scope, receive, self._committing(send))
            return
        method, path = scope["method"], plain_path(scope["path"])
        if path not in MACHINES_OWN:
            allowed, headers = self._limits.take()
            send = _with_headers(send, headers)
            await self._limits.wait()
            if not allowed:
                self._faults.record({"method": method, "path": path, "status": 429, "fault": None})
                await _refuse(send)
                return
        fault = self._faults.take(method, path)
        call: dict[str, Any] = {"method": method, "path": path, "status": None, "fault": fault.kind if fault else None}
        self._faults.record(call)
        await slow_down(fault)
        if fault is None or fault.kind == "slow":
            await self._app(scope, receive, self._committing(send, call))
            return
        if fault.when == "after":
            await self._app(scope, receive, _swallow)
            self._cloud.store.commit()
        await _misbehave(fault, scope, send)

    def _committing(self, send: Send, call: dict[str, Any] | None = None) -> Send:
        async def commit_first(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._cloud.store.commit()
                if call is not None:
                    call["status"] = message["status"]
            await send(message)

        return commit_first


def _with_headers(send: Send, headers: Headers) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *headers]}
        await send(message)

    return add if headers else send


async def _refuse(send: Send) -> None:
    body = json.dumps({"errors": ["Rate limit exceeded"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _swallow(message: Message) -> None:
    """The effect took place, the answer gets lost."""


async def _misbehave(fault: Fault, scope: Scope, send: Send) -> None:
    if fault.kind == "reset":
        abort_connection(scope)
        return
    body = _body(fault).encode()
    length = len(body) + (100 if fault.kind == "truncate" else 0)
    content_type = b"text/html" if fault.kind == "html" else b"application/json"
    headers = [(b"content-type", content_type), (b"content-length", str(length).encode())]
    if fault.retry_after is not None:
        headers.append((b"retry-after", fault.retry_after.encode()))
    status = fault.status if fault.kind in ("status", "html") else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": fault.kind == "truncate"})
    if fault.kind == "truncate":
        abort_connection(scope)


def _body(fault: Fault) -> str:
    if fault.body is not None:
        return fault.body
    return {
        "status": json.dumps({"errors": [f"Injected fault {fault.status}"]}),
        "garbage": '{"devices": [{"id": "\ufffd',
        "html": "<html><body><h1>502 Bad Gateway</h1></body></html>",
        "truncate": '{"devices": [',
    }[fault.kind]
