# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of calls that holds all the time, and the time that each call takes."""

from __future__ import annotations

import time

CONTROL = {"X-Lab-Token": "lab-control"}


def told(answer):
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "retry-after")
    return answer.status_code, tuple(answer.headers.get(name) for name in names)


def test_calls_over_the_limit_are_refused_until_the_window_ends(make_lab):
    lab = make_lab(limits={"calls": 2, "window": 30})
    assert told(lab.http.get("/plans")) == (200, ("2", "1", None))
    lab.pass_time(10)
    assert told(lab.http.get("/user", headers={"X-Auth-Token": "wrong"})) == (401, ("2", "0", None))
    refused = lab.http.get("/plans")
    assert told(refused) == (429, ("2", "0", "20"))
    assert refused.json() == {"errors": ["Rate limit exceeded"]}
    assert int(refused.headers["x-ratelimit-reset"]) == lab.cloud.clock.now() + 20
    lab.pass_time(20)
    assert told(lab.http.get("/plans"))[0] == 200


def test_a_refused_call_has_no_effect_and_is_recorded(make_lab):
    lab = make_lab(limits={"calls": 1})
    assert lab.http.post("/ssh-keys", json={"label": "a", "key": "b"}).status_code == 201
    assert lab.http.post("/ssh-keys", json={"label": "c", "key": "d"}).status_code == 429
    assert len(lab.cloud.store.ssh_keys) == 1
    calls = lab.http.get("/lab/calls", headers=CONTROL).json()["calls"]
    assert [call["status"] for call in calls] == [201, 429]


def test_machines_own_calls_and_the_lab_are_not_limited(make_lab):
    lab = make_lab(limits={"calls": 1})
    device = next(iter(lab.cloud.store.devices), None)
    assert device is None
    lab.http.get("/plans")
    assert lab.http.get("/metadata").status_code == 404
    assert lab.http.get("/lab/health", headers=CONTROL).status_code == 200


def test_without_a_limit_no_header_tells_of_one(lab):
    assert "x-ratelimit-limit" not in lab.http.get("/plans").headers


def test_limits_and_latency_are_set_while_it_runs(lab):
    body = {"calls": 1, "window": 5, "latency": 0.2}
    assert lab.http.put("/lab/limits", json=body, headers=CONTROL).status_code == 200
    started = time.monotonic()
    assert lab.http.get("/plans").status_code == 200
    assert time.monotonic() - started >= 0.2
    assert lab.http.get("/plans").headers["retry-after"] == "5"
