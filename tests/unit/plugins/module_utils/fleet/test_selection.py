# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is in the machines file, who is not and why, and when a file without machines is right."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines import machines_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.notices import is_near
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp

NOW = 1795521600.0
NOTICE = {"request_id": None, "bid": None, "termination_time": "2026-11-23T05:02:00Z"}


@pytest.mark.parametrize(
    ("change", "reason", "known"),
    [
        ({"builder_state": "provisioning"}, "state is provisioning", True),
        ({"builder_state": "hibernating"}, "state is hibernating", False),
        ({"builder_state": "unknown"}, "state is unknown", False),
        ({"builder_speed_factor": 1e-9}, "the speed factor 1e-09 is too small: both parsers would read 0", False),
        ({"builder_draining": True}, "draining", True),
        ({"builder_spot": NOTICE}, "will be reclaimed at 2026-11-23T05:02:00Z", True),
        ({"builder_address": None}, "no address", False),
        ({"builder_host_key": None}, "published no SSH host key since its last boot", False),
        ({"builder_systems": []}, "no system known: neither published nor in the plan table", False),
        ({"builder_max_jobs": None}, "number of jobs unknown: neither published nor in the plan table", False),
        ({"builder_max_jobs": "many"}, "bad facts: builder_max_jobs must be a whole number or null, not 'many'", False),
        (
            {"builder_port": 2222, "builder_endpoints": []},
            "endpoint on port 2222 is left out: only port 22 is written",
            False,
        ),
    ],
)
def test_machine_is_left_out_with_its_reason(builder: Any, change: dict[str, Any], reason: str, known: bool) -> None:
    out = builder(**{"builder_id": "out", "builder_address": "192.0.2.9", **change})
    plan = machines_plan([builder(), out], "/key", fractional_speed=True)
    assert plan["included"] == [builder()["builder_id"]]
    assert plan["excluded"] == [{"id": "out", "reason": reason, "known": known}]
    assert "192.0.2.9" not in plan["file"] + plan["known_hosts"]
    assert machines_plan([out], "/key", fractional_speed=True)["empty_is_known"] is known


@pytest.mark.parametrize(("hours", "stays"), [(-1, False), (0.5, False), (2, True), (72, True)])
def test_only_an_end_within_the_horizon_takes_a_machine_out(builder: Any, hours: float, stays: bool) -> None:
    """Whatever market the machine is of: builder_spot is null here."""
    out = builder(builder_spot=None, builder_termination_time=stamp(NOW + hours * 3600))
    plan = machines_plan([out], "/key", until=NOW + 3600)
    assert plan["included"] == ([out["builder_id"]] if stays else [])
    assert plan["empty_is_known"] is not stays
    assert machines_plan([out], "/key")["included"] == []


def test_an_end_that_cannot_be_read_is_not_taken_for_far() -> None:
    assert is_near("soon", NOW)
    assert is_near("2026-11-23T05:02:00", NOW)


@pytest.mark.parametrize("feature", ["-", "kvm\u200b", "a\x07"])
@pytest.mark.parametrize("fact", ["builder_features", "builder_mandatory_features"])
def test_odd_feature_leaves_out_its_machine_alone(builder: Any, feature: str, fact: str) -> None:
    plan = machines_plan(
        [builder(), builder(builder_id="odd", builder_address="192.0.2.9", **{fact: [feature]})], "/key"
    )
    assert plan["included"] == [builder()["builder_id"]]
    assert [(item["id"], item["known"]) for item in plan["excluded"]] == [("odd", False)]


def test_wrong_key_path_is_no_machines_fault(builder: Any) -> None:
    with pytest.raises(FleetError, match="absolute path"):
        machines_plan([builder()], "key")


def test_facts_that_are_missing_are_told(builder: Any) -> None:
    facts = builder()
    del facts["builder_draining"]
    assert machines_plan([facts], "/key")["excluded"][0]["reason"] == "bad facts: builder_draining is missing"
    assert machines_plan([{}], "/key")["excluded"][0]["id"] == "(no builder_id)"


def test_one_hostname_on_two_machines_makes_two_rows(builder: Any) -> None:
    plan = machines_plan([builder(), builder(builder_id="two", builder_address="192.0.2.9")], "/key")
    assert len(plan["file"].splitlines()) == 2


def test_machines_that_share_an_address_are_both_left_out(builder: Any) -> None:
    plan = machines_plan([builder(), builder(builder_id="two")], "/key")
    assert plan["file"] == ""
    assert [item["reason"] for item in plan["excluded"]] == ["shares the address 10.213.77.101"] * 2


def test_old_machine_does_not_take_the_address_of_a_new_one(builder: Any) -> None:
    plan = machines_plan([builder(), builder(builder_id="old", builder_state="deprovisioning")], "/key")
    assert plan["included"] == [builder()["builder_id"]]


def test_further_port_of_a_machine_is_told_and_the_machine_stays(builder: Any) -> None:
    endpoint = {"systems": ["armv7l-linux"], "port": 2222, "host_keys": []}
    plan = machines_plan([builder(builder_endpoints=[*builder()["builder_endpoints"], endpoint])], "/key")
    assert plan["included"] == [builder()["builder_id"]]
    assert "port 2222" in plan["excluded"][0]["reason"]


def test_empty_reading_is_never_known_to_be_right() -> None:
    assert machines_plan([], "/key")["empty_is_known"] is False


def test_file_without_machines_is_right_only_if_each_is_known_to_be_out(builder: Any) -> None:
    draining = builder(builder_draining=True)
    keyless = builder(builder_id="two", builder_host_key=None)
    assert machines_plan([draining], "/key")["empty_is_known"] is True
    assert machines_plan([draining, keyless], "/key")["empty_is_known"] is False
