# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call what, and how refusals look."""

from __future__ import annotations

import pytest

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"


@pytest.mark.parametrize("prefix", ["/metal/v1", ""])
def test_both_prefixes_serve_the_api(lab, prefix):
    assert lab.http.get(f"{prefix}/projects/{PROJECT}").json()["id"] == PROJECT


@pytest.mark.parametrize("token", ["", "wrong", "lab-token2"])
def test_a_wrong_token_is_refused_with_401(lab, token):
    answer = lab.http.get("/metal/v1/plans", headers={"X-Auth-Token": token})
    assert answer.status_code == 401
    assert answer.json() == {"error": "Invalid authentication token"}


@pytest.mark.parametrize(
    "path",
    [
        "/projects/00000000-0000-0000-0000-000000000000/devices",
        "/projects/00000000-0000-0000-0000-000000000000/spot-market-requests",
        "/devices/00000000-0000-0000-0000-000000000000",
        "/devices/00000000-0000-0000-0000-000000000000/events",
        "/spot-market-requests/00000000-0000-0000-0000-000000000000",
        "/no/such/path",
    ],
)
def test_what_does_not_exist_is_404_with_errors(lab, path):
    answer = lab.http.get(f"/metal/v1{path}")
    assert answer.status_code == 404
    assert answer.json() == {"errors": ["Not found"]}


def test_a_body_that_is_not_json_is_422(lab):
    answer = lab.http.post(f"/metal/v1/projects/{PROJECT}/spot-market-requests", content=b'{"devices_min":')
    assert answer.status_code == 422
    assert answer.json() == {"errors": ["Request body is not valid JSON"]}


def test_control_endpoints_need_the_lab_token(lab):
    assert lab.http.get("/lab/health").status_code == 403
    assert lab.http.get("/lab/health", headers={"X-Lab-Token": "lab-token"}).status_code == 403
    assert lab.http.get("/lab/health", headers={"X-Lab-Token": "lab-control"}).json()["status"] == "ok"


def test_the_api_token_appears_in_no_record_of_calls(lab):
    lab.http.get(f"/projects/{PROJECT}/devices")
    calls = lab.http.get("/lab/calls", headers={"X-Lab-Token": "lab-control"})
    assert calls.json()["calls"][-1]["path"] == f"/projects/{PROJECT}/devices"
    assert "lab-token" not in calls.text


def test_doubled_slashes_are_taken_as_one(lab):
    """packet-python sends them."""
    assert lab.http.get("http://api.test//market//spot/prices/").status_code == 200
