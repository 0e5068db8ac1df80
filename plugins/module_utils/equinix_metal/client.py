# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls of the API by rule: what may be sent again is, what creates is not, and every failure says what, where and why."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import errors
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.settings import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import (
    Answer,
    Call,
    Failure,
    Transport,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.retry import (
    Again,
    RetryPolicy,
    parse_retry_after,
    try_again,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.waiting import SYSTEM_CLOCK, Clock

BUSY = frozenset({429, 502, 503, 504})
# What these did or did not do must be looked at before they are sent again.
SENT_ONCE = frozenset({"POST", "PUT"})
LONGEST_WORDS = 500

_TAG = re.compile(r"<[^>]*>")


class Client:
    """Asks the API, and gives parsed answers or raises `ApiError`."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        clock: Clock = SYSTEM_CLOCK,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._transport = transport
        self._now = now
        self._policy = RetryPolicy(tries=settings.tries)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read an object."""
        return _an_object(self.call("GET", path, query), self.url(path))

    def post(self, path: str, body: Any, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Create something. When it is not known whether that happened, `Doubtful` is raised, and nothing is sent again."""
        try:
            return _an_object(self.call("POST", path, query, body), self.url(path))
        except errors.BadAnswer as error:
            raise errors.Doubtful(str(error), error.status, error.url) from error

    def put(self, path: str, body: Any) -> dict[str, Any]:
        """Change fields of an object. Sent once, as `post` is: sent again, it could undo what another has changed since."""
        try:
            return _an_object(self.call("PUT", path, None, body), self.url(path))
        except errors.BadAnswer as error:
            raise errors.Doubtful(str(error), error.status, error.url) from error

    def act(self, path: str, body: Any) -> None:
        """Ask for an action, to which the API answers without a body. As with `post`, a doubt is told and nothing is sent again."""
        self.call("POST", path, None, body)

    def delete(self, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> bool:
        """Make sure that something is gone. False when it was gone before."""
        try:
            self.call("DELETE", path, query, body)
        except errors.NotFound:
            return False
        return True

    def call(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """The parsed body of a good answer; None when it is empty."""
        call = Call(method, path, _pairs(query), body)
        outcome = try_again(
            lambda: self._transport.send(call), lambda seen: self._again(method, seen), self._policy, self.clock
        )
        if isinstance(outcome, Failure):
            raise self._no_answer(call, outcome)
        if 200 <= outcome.status < 300:
            return self._parsed(call, outcome)
        raise self._rejected(call, outcome)

    def utc_now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)

    def url(self, path: str) -> str:
        return self.settings.url + path

    def _again(self, method: str, outcome: Answer | Failure) -> Again | None:
        if isinstance(outcome, Failure):
            return Again() if method not in SENT_ONCE or not outcome.sent else None
        if not _worth_another_try(method, outcome):
            return None
        return Again(parse_retry_after(outcome.headers.get("retry-after"), self._now()))

    def _parsed(self, call: Call, answer: Answer) -> Any:
        if not answer.body.strip():
            return None
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            url = self.url(call.path)
            what = f"{call.method} {url} answered {answer.status} with something that is not whole JSON"
            raise errors.BadAnswer(f"{what} ({error}): {self._shown(answer.body)}", answer.status, url) from error

    def _rejected(self, call: Call, answer: Answer) -> errors.ApiError:
        url, words = self.url(call.path), self._words(answer)
        said = f"{call.method} {url} answered {answer.status}" + (f": {words}." if words else ".")
        kind = _error_class(call.method, answer.status)
        return kind(f"{said} {self._hidden(_remedy(call, answer))}".strip(), answer.status, url)

    def _no_answer(self, call: Call, failure: Failure) -> errors.ApiError:
        url, reason = self.url(call.path), self._hidden(failure.reason)
        if not failure.sent:
            remedy = "Check metal_api_url (or the environment variable METAL_API_URL), the network and the proxy."
            return errors.Unreachable(f"{url} could not be reached: {reason}. {remedy}", url=url)
        message = f"{call.method} {url} gave no answer: {reason}."
        kind = errors.Doubtful if call.method in SENT_ONCE else errors.ApiError
        return kind(message, url=url)

    def _words(self, answer: Answer) -> str:
        """The API's own words: {"errors": [...]}, {"error": "..."}, or whatever text there is."""
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            return self._shown(answer.body)
        if isinstance(body, dict):
            said = body.get("errors") or body.get("error")
            if said:
                return self._hidden("; ".join(map(str, said)) if isinstance(said, list) else str(said)).rstrip(".")
        return self._shown(answer.body)

    def _shown(self, body: bytes) -> str:
        text = self._hidden(" ".join(_TAG.sub(" ", body.decode("utf-8", "replace")).split()))
        return text[:LONGEST_WORDS] + (" ..." if len(text) > LONGEST_WORDS else "")

    def _hidden(self, text: str) -> str:
        return text.replace(self.settings.token, "********")


def _pairs(query: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in (query or {}).items() if value is not None)


def _an_object(body: Any, url: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise errors.BadAnswer(f"{url} answered with {_kind(body)} where an object was expected.", url=url)
    return body


def _kind(value: Any) -> str:
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a plain value"


def _worth_another_try(method: str, answer: Answer) -> bool:
    if method in SENT_ONCE:
        # 429 means that nothing was done; after any other answer, the caller looks first.
        return answer.status == 429
    if method == "GET":
        return answer.status == 500 or answer.status in BUSY or (answer.status == 200 and not _is_json(answer.body))
    return answer.status in BUSY


def _is_json(body: bytes) -> bool:
    # Enough to tell a page of a load balancer or an answer cut short, without parsing twice.
    return body.lstrip()[:1] in (b"{", b"[") and body.rstrip()[-1:] in (b"}", b"]")


def _error_class(method: str, status: int) -> type[errors.ApiError]:
    if status == 404:
        return errors.NotFound
    return errors.Doubtful if method in SENT_ONCE and status >= 500 else errors.ApiError


def _remedy(call: Call, answer: Answer) -> str:
    if 300 <= answer.status < 400:
        where = answer.headers.get("location", "elsewhere").partition("?")[0]
        return f"It redirects to {where}, which is not followed, lest the token go along: set metal_api_url to the final address."
    if answer.status == 404 and call.path.startswith("/projects/"):
        return "Check project_id (or the environment variable METAL_PROJECT_ID) and the path of metal_api_url."
    if answer.status >= 500:
        return "The service is in trouble; try again later."
    return {
        401: "Check metal_auth_token (or the environment variable METAL_AUTH_TOKEN).",
        403: "The token of metal_auth_token may not do this.",
        404: "Check the path of metal_api_url.",
        429: "Too many calls; try again later.",
    }.get(answer.status, "")
