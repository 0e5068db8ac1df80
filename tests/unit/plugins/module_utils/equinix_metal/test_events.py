# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is believed of a machine's events: what was said first since the machine last booted, and nothing else."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import (
    BOOTED,
    Evidence,
    evidence_from,
    read_evidence,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWZ5hH1v5xSm8OOMBVMkl3ZwVYxhpwTmPZuA9zJqXqT"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHZ5hH1v5xSm8OOMBVMkl3ZwVYxhpwTmPZuA9zJqXqTaa"
IMAGE = "0ab1cdfghijklmnpqrsvwxyz01234567-image"
BOOT_ID = "0c7d1f6e-40a1-4b1f-8a0e-6c2f3f1f9b52"


def keys(key: str = KEY, port: int = 22, system: str = "x86_64-linux") -> tuple[str, str]:
    return "user.1001", json.dumps([{"system": system, "port": port, "key": key}])


def description(**fields: Any) -> tuple[str, str]:
    return "user.1002", json.dumps(fields)


def history(*oldest_first: tuple[str, Any]) -> list[dict[str, Any]]:
    """Events as the API gives them: newest first."""
    start = datetime.datetime(2026, 11, 23, 4, tzinfo=datetime.UTC)
    events = [
        {"type": kind, "body": body, "created_at": (start + datetime.timedelta(seconds=number)).isoformat()}
        for number, (kind, body) in enumerate(oldest_first)
    ]
    return events[::-1]


def host_key(*oldest_first: tuple[str, Any]) -> str | None:
    return evidence_from(history(*oldest_first)).host_key(22)


BOOT = (BOOTED, "Device connected to DHCP system")


def test_the_first_key_since_the_boot_is_believed() -> None:
    assert host_key(BOOT, keys(KEY), keys(OTHER)) == KEY


def test_a_key_from_before_the_boot_is_not() -> None:
    evidence = evidence_from(history(keys(OTHER), description(max_jobs=9), BOOT))
    assert evidence.host_key(22) is None
    assert evidence.description == {}
    assert "booting" in evidence.problems[0]


def test_each_boot_begins_anew() -> None:
    assert host_key(BOOT, keys(OTHER), BOOT, keys(KEY), keys(OTHER)) == KEY


def test_without_any_boot_event_all_events_count() -> None:
    assert host_key(keys(KEY), keys(OTHER)) == KEY


def test_the_first_description_is_believed_even_when_a_later_one_says_more() -> None:
    evidence = evidence_from(history(BOOT, description(max_jobs=2), description(max_jobs=9, image_id=IMAGE)))
    assert evidence.description == {"said": True, "max_jobs": 2}


def test_an_empty_description_is_a_description() -> None:
    evidence = evidence_from(history(BOOT, description(), description(max_jobs=9)))
    assert "max_jobs" not in evidence.description


def test_everything_that_a_machine_says() -> None:
    said = {
        "features": ["kvm", "big-parallel", "kvm"],
        "system_types": ["x86_64-linux", "i686-linux"],
        "max_jobs": 4,
        "image_id": IMAGE,
        "boot_id": BOOT_ID,
        "speed_factor": 1.5,
        "mandatory_features": [],
    }
    evidence = evidence_from(history(BOOT, keys(), description(**said)))
    assert evidence.description == {
        **said,
        "said": True,
        "features": ["big-parallel", "kvm"],
        "system_types": ["i686-linux", "x86_64-linux"],
    }
    assert evidence.problems == []


def test_several_ports_and_systems() -> None:
    body = json.dumps(
        [
            {"system": "x86_64-linux", "port": 22, "key": KEY + " root@host"},
            {"system": "i686-linux", "port": 22, "key": KEY},
            {"system": "armv7l-linux", "port": "2222", "key": OTHER},
        ]
    )
    assert evidence_from(history(BOOT, ("user.1001", body))).endpoints == [
        {"systems": ["i686-linux", "x86_64-linux"], "port": 22, "host_keys": [KEY]},
        {"systems": ["armv7l-linux"], "port": 2222, "host_keys": [OTHER]},
    ]


def test_the_bare_key_of_older_machines() -> None:
    evidence = evidence_from(history(BOOT, ("user.1001", KEY + " root@builder with a comment\n")))
    assert evidence.endpoints == [{"systems": [], "port": 22, "host_keys": [KEY]}]


SENSELESS = [
    None,
    "",
    "   ",
    "{",
    "[]",
    "{}",
    "null",
    "3",
    "[1]",
    '[{"port": 22}]',
    '[{"system": "x86_64-linux", "port": 22, "key": ""}]',
    '[{"system": "x86_64-linux", "port": 22, "key": "ssh-ed25519 AAAA\\nevil AAAA"}]',
    json.dumps([{"system": "x86_64-linux", "port": 22, "key": KEY + "\n* " + KEY}]),
    json.dumps([{"system": "x86_64-linux", "port": 0, "key": KEY}]),
    json.dumps([{"system": "x86_64-linux", "port": 1e400, "key": KEY}]),
    json.dumps([{"system": "x86_64-linux -", "port": 22, "key": KEY}]),
    "[" * 60000,
    "9" * 60000,
    "x" * 100000,
    KEY + "\n" + OTHER,
    [],
    {"a": 1},
    7,
]


@pytest.mark.parametrize("body", SENSELESS)
def test_a_senseless_key_event_is_passed_over_alone(body: Any) -> None:
    evidence = evidence_from(history(BOOT, ("user.1001", body), keys(KEY), description(max_jobs=3)))
    assert evidence.host_key(22) == KEY
    assert evidence.description["max_jobs"] == 3
    assert "makes no sense" in evidence.problems[0]


@pytest.mark.parametrize("body", [None, "", "[", "[]", "7", "{" * 60000, '"x"', {"max_jobs": 1}])
def test_a_senseless_description_is_passed_over_alone(body: Any) -> None:
    evidence = evidence_from(history(BOOT, keys(KEY), ("user.1002", body), description(max_jobs=3)))
    assert evidence.description["max_jobs"] == 3


@pytest.mark.parametrize(
    "field",
    [
        {"max_jobs": 0},
        {"max_jobs": "many"},
        {"max_jobs": True},
        {"max_jobs": 10**400},
        {"speed_factor": -1},
        {"speed_factor": float("nan")},
        {"features": "kvm"},
        {"features": ["a b"]},
        {"features": ["a,b"]},
        {"features": [1]},
        {"features": ["-"]},
        {"features": ["a\x00"]},
        {"features": ["\x1b[31m"]},
        {"features": ["\u00e9"]},
        {"features": ["a\n"]},
        {"system_types": ["x86_64-linux;"]},
        {"mandatory_features": ["x\n"]},
        {"image_id": "../../etc"},
        {"boot_id": "x y"},
    ],
)
def test_one_senseless_field_is_left_out_alone(field: dict[str, Any]) -> None:
    evidence = evidence_from(history(BOOT, keys(), description(**{"max_jobs": 2, "image_id": IMAGE, **field})))
    assert next(iter(field)) not in evidence.description
    assert set(evidence.description) >= {"said"}
    assert "makes no sense" in evidence.problems[0]


def test_times_are_right_where_the_order_is_not() -> None:
    events = history(BOOT, keys(KEY), keys(OTHER))
    assert evidence_from(events[::-1]).host_key(22) == KEY


def test_in_the_same_second_the_order_of_the_answer_counts() -> None:
    events = [{**event, "created_at": "2026-11-23T04:00:00Z"} for event in history(BOOT, keys(KEY), keys(OTHER))]
    assert evidence_from(events).host_key(22) == KEY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["system", "port", "key", "max_jobs"]), inner),
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["user.1001", "user.1002", BOOTED, None, 3]),
            "body": JSON | st.builds(json.dumps, JSON),
            "created_at": st.sampled_from([None, "", "x", "2026-11-23T04:00:00Z", "2026-11-23T04:00:00.123+01:00", 5]),
        },
    )
)


# On a busy machine, making the examples alone may take longer than the library thinks right.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(EVENTS)
def test_no_event_stops_the_reading(events: list[dict[str, Any]]) -> None:
    assert isinstance(evidence_from(events), Evidence)


def serve(events: list[dict[str, Any]]) -> Any:
    def page(call: Any) -> dict[str, Any]:
        query = dict(call.query)
        number, size = int(query["page"]), int(query["per_page"])
        more = number * size < len(events)
        meta = {"total": len(events), "current_page": number, "next": {"href": f"?page={number + 1}"} if more else None}
        return {"events": events[(number - 1) * size : number * size], "meta": meta}

    return page


def test_junk_does_not_hide_a_machine(client_of, scripted, answered) -> None:
    junk = [("user.7", "junk")] * 500
    page = serve(history(BOOT, keys(KEY), *junk))
    transport = scripted(by=lambda call: answered(200, page(call)))
    assert read_evidence(client_of(transport), "d1").host_key(22) == KEY


def test_reading_stops_at_the_boot(client_of, scripted, answered) -> None:
    page = serve(history(*[("user.7", "old")] * 500, BOOT, keys(KEY)))
    transport = scripted(by=lambda call: answered(200, page(call)))
    assert read_evidence(client_of(transport), "d1").host_key(22) == KEY
    assert len(transport.calls) == 1


def test_endless_junk_ends_the_reading(client_of, scripted, answered) -> None:
    page = serve(history(BOOT, keys(KEY), *[("user.7", "junk")] * 5000))
    transport = scripted(by=lambda call: answered(200, page(call)))
    evidence = read_evidence(client_of(transport), "d1")
    assert (evidence.endpoints, evidence.description) == ([], {})
    assert "more than 2000 events" in evidence.problems[0]
    assert len(transport.calls) == 40
