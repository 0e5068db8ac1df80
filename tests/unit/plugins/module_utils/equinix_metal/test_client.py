# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls of the API: what is sent again, what never is, and what a user reads when it fails."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import errors
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Failure

TOKEN = "tok-0123456789"
LOST = Failure("connection reset", sent=True)
REFUSED = Failure("connection refused", sent=False)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_reading_is_tried_again_when_the_service_is_busy(client_of, scripted, answered, status: int) -> None:
    transport = scripted(answered(status), answered(status), answered(200, {"id": "x"}))
    assert client_of(transport).get("/devices/x") == {"id": "x"}
    assert len(transport.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422])
def test_reading_is_not_tried_again_when_it_was_refused(client_of, scripted, answered, status: int) -> None:
    transport = scripted(answered(status, {"errors": ["No."]}))
    with pytest.raises(errors.ApiError, match=f"answered {status}: No."):
        client_of(transport).get("/devices/x")


@pytest.mark.parametrize("outcome", [LOST, REFUSED])
def test_reading_is_tried_again_when_there_was_no_answer(client_of, scripted, answered, outcome: Failure) -> None:
    transport = scripted(outcome, answered(200, {}))
    assert client_of(transport).get("/x") == {}


def test_an_answer_that_was_cut_short_is_asked_for_again(client_of, scripted, answered) -> None:
    transport = scripted(answered(200, b'{"devices": ['), answered(200, b"<html>busy</html>"), answered(200, {"a": 1}))
    assert client_of(transport).get("/x") == {"a": 1}


@pytest.mark.parametrize("outcome", ["lost", 500, 502, 503, 504])
def test_a_purchase_is_never_sent_again(client_of, scripted, answered, outcome: Any) -> None:
    transport = scripted(LOST if outcome == "lost" else answered(outcome))
    with pytest.raises(errors.Doubtful):
        client_of(transport).post("/projects/p/spot-market-requests", {"a": 1})
    assert len(transport.calls) == 1


def test_a_purchase_is_sent_again_when_it_cannot_have_been_seen(client_of, scripted, answered) -> None:
    transport = scripted(REFUSED, answered(429, retry_after="3"), answered(201, {"id": "x"}))
    assert client_of(transport).post("/x", {}) == {"id": "x"}


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b'{"id": "x"', b"[" * 200000])
def test_a_purchase_with_a_senseless_answer_is_doubtful(client_of, scripted, answered, body: bytes) -> None:
    with pytest.raises(errors.Doubtful):
        client_of(scripted(answered(201, body))).post("/x", {})


def test_a_refused_purchase_is_not_doubtful(client_of, scripted, answered) -> None:
    with pytest.raises(errors.ApiError) as caught:
        client_of(scripted(answered(422, {"errors": ["metro is not known"]}))).post("/x", {})
    assert not isinstance(caught.value, errors.Doubtful)


def test_ending_is_tried_again_and_gone_is_gone(client_of, scripted, answered) -> None:
    assert client_of(scripted(LOST, answered(503), answered(404))).delete("/x") is False
    assert client_of(scripted(answered(204))).delete("/x") is True


def test_retry_after_is_slept(client_of, scripted, answered, sleeper) -> None:
    client_of(scripted(answered(429, retry_after="17"), answered(200, {}))).get("/x")
    assert sleeper.slept == [17]


@pytest.mark.parametrize(
    ("status", "path", "remedy"),
    [
        (401, "/plans", "metal_auth_token (or the environment variable METAL_AUTH_TOKEN)"),
        (403, "/plans", "may not do this"),
        (404, "/projects/p/devices", "project_id (or the environment variable METAL_PROJECT_ID)"),
        (404, "/plans", "the path of metal_api_url"),
        (302, "/plans", "redirects to https://other.test/x, which is not followed"),
        (500, "/plans", "in trouble"),
        (429, "/plans", "Too many calls"),
    ],
)
def test_an_error_names_the_remedy(client_of, scripted, answered, status: int, path: str, remedy: str) -> None:
    reply = answered(status, {"errors": ["words"]}, location="https://other.test/x?secret=1")
    with pytest.raises(errors.ApiError) as caught:
        client_of(scripted(*[reply] * 4)).get(path)
    assert remedy in str(caught.value)
    assert f"https://metal.test/metal/v1{path} answered {status}: words." in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors": ["one", "two"]}', ": one; two."),
        (b'{"error": "one."}', ": one."),
        (b"<html><h1>Bad Gateway</h1></html>", ": Bad Gateway."),
        (b"", " 422."),
        (b"\xff\xfe", " 422: "),
        (b'{"errors": {"base": 1}}', "base"),
    ],
)
def test_the_apis_own_words_are_told(client_of, scripted, answered, body: bytes, words: str) -> None:
    with pytest.raises(errors.ApiError) as caught:
        client_of(scripted(answered(422, body))).get("/x")
    assert words in str(caught.value)


def test_an_unreachable_endpoint_names_the_setting(client_of, scripted) -> None:
    with pytest.raises(errors.Unreachable, match="metal_api_url"):
        client_of(scripted(*[REFUSED] * 4)).get("/x")


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_message_holds_the_token(client_of, scripted, answered, method: str) -> None:
    bodies = [
        answered(422, {"errors": [f"bad token {TOKEN}"]}),
        answered(422, f"you sent {TOKEN}".encode()),
        answered(201, f"you sent {TOKEN}".encode()),
        Failure(f"header {TOKEN} refused", sent=True),
        # A word that is cut off in the middle must not show its first half.
        answered(422, b"x" * 495 + TOKEN.encode()),
        answered(422, b"[" * 200000),
        answered(302, location=f"https://other.test/{TOKEN}"),
    ]
    for outcome in bodies:
        client = client_of(scripted(*[outcome] * 4))
        with pytest.raises(errors.MetalError) as caught:
            client.get("/x") if method == "get" else client.post("/x", {})
        assert TOKEN[:5] not in str(caught.value)
    assert TOKEN not in repr(client.settings)


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b""])
def test_an_answer_of_another_kind_is_refused(client_of, scripted, answered, body: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        client_of(scripted(*[answered(200, body)] * 4)).get("/x")
