# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injected faults: which calls fail, how, and whether they took effect."""

from __future__ import annotations

import pytest

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
REQUESTS = f"/projects/{PROJECT}/spot-market-requests"
CONTROL = {"X-Lab-Token": "lab-control"}


def inject(lab, **fault):
    answer = lab.http.post("/lab/faults", json=fault, headers=CONTROL)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_a_fault_holds_for_the_calls_it_counts(lab):
    inject(lab, kind="status", status=503, retry_after="2", method="GET", path="/plans", count=2)
    answers = [lab.http.get("/metal/v1/plans") for _number in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "2"
    assert lab.http.get("/lab/faults", headers=CONTROL).json() == {"faults": []}


def test_a_fault_for_always_matches_method_and_path_until_it_is_removed(lab):
    number = inject(lab, kind="status", status=500, method="POST", path=REQUESTS, count=None)
    for _number in range(3):
        assert lab.http.post(f"/metal/v1{REQUESTS}", json=lab.bid()).status_code == 500
    assert lab.http.get(f"/metal/v1{REQUESTS}").json() == {"spot_market_requests": []}
    assert lab.http.delete(f"/lab/faults/{number}", headers=CONTROL).status_code == 204
    assert lab.http.post(f"/metal/v1{REQUESTS}", json=lab.bid()).status_code == 201


def test_skipping_lets_the_first_calls_through(lab):
    inject(lab, kind="status", status=429, skip=2)
    assert [lab.http.get("/plans").status_code for _number in range(4)] == [200, 200, 429, 200]


@pytest.mark.parametrize("kind", ["status", "garbage", "html", "reset"])
def test_after_means_that_the_effect_took_place(lab, kind):
    inject(lab, kind=kind, method="POST", path=REQUESTS, when="after")
    if kind == "reset":
        with pytest.raises(ConnectionResetError):
            lab.http.post(REQUESTS, json=lab.bid())
    else:
        assert lab.http.post(REQUESTS, json=lab.bid()).status_code == (500 if kind in ("status", "html") else 200)
    assert len(lab.http.get(REQUESTS).json()["spot_market_requests"]) == 1


def test_before_means_that_nothing_happened(lab):
    inject(lab, kind="garbage", method="POST", path=REQUESTS)
    lab.http.post(REQUESTS, json=lab.bid())
    assert lab.http.get(REQUESTS).json() == {"spot_market_requests": []}


def test_garbage_is_a_success_that_no_parser_reads(lab):
    inject(lab, kind="garbage")
    answer = lab.http.get("/plans")
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
        answer.json()


def test_a_malformed_fault_is_refused(lab):
    answer = lab.http.post("/lab/faults", json={"kind": "explode"}, headers=CONTROL)
    assert answer.status_code == 422
    assert "kind" in answer.json()["errors"][0]


def test_the_record_of_calls_tells_what_was_asked_and_answered(lab):
    inject(lab, kind="status", path="/plans")
    lab.http.get("/plans")
    lab.http.get("/metal/v1/plans")
    calls = lab.http.get("/lab/calls", headers=CONTROL).json()["calls"]
    assert [(call["path"], call["fault"], call["status"]) for call in calls] == [
        ("/plans", "status", None),
        ("/plans", None, 200),
    ]
