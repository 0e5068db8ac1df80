# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builder facts: they keep the contract whatever the API and the machine say, and the operator's word goes first."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import builders, devices, errors, facts
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.events import Evidence

CONTRACT = json.loads(
    (Path(__file__).parents[5] / "docs" / "contracts" / "builder-facts.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(CONTRACT, format_checker=jsonschema.FormatChecker())
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWZ5hH1v5xSm8OOMBVMkl3ZwVYxhpwTmPZuA9zJqXqT"
IMAGE = "0ab1cdfghijklmnpqrsvwxyz01234567-image"
BOOT_ID = "0c7d1f6e-40a1-4b1f-8a0e-6c2f3f1f9b52"

RAW: dict[str, Any] = {
    "id": "5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01",
    "short_id": "5a1f0a5e",
    "hostname": "builder",
    "state": "active",
    "tags": ["hydra", "nixmetal-fleet=lab", "nixmetal-bid=small"],
    "created_at": "2026-11-23T03:00:00+00:00",
    "plan": {"slug": "c3.small.x86"},
    "metro": {"code": "AM"},
    "facility": {"code": "am6"},
    "spot_instance": True,
    "termination_time": None,
    "ipxe_script_url": "http://web.test/x/netboot.ipxe",
    "root_password": "hush",
    "ip_addresses": [
        {"address": "10.1.2.3", "address_family": 4, "public": False},
        {"address": "2001:db8::7", "address_family": 6, "public": True},
        {"address": "203.0.113.7", "address_family": 4, "public": True},
    ],
}


def spoken(**description: Any) -> Evidence:
    said = {"said": True, "system_types": ["x86_64-linux"], "max_jobs": 4, "image_id": IMAGE, "boot_id": BOOT_ID}
    endpoints = [{"systems": ["x86_64-linux"], "port": 22, "host_keys": [KEY]}]
    return Evidence(endpoints=endpoints, description={**said, **description})


def facts_of(raw: dict[str, Any], evidence: Evidence | None = None, **choices: Any) -> dict[str, Any]:
    known = facts.builder_facts(
        devices.lean({**RAW, **raw}), spoken() if evidence is None else evidence, facts.Choices(**choices), "r1"
    )
    VALIDATOR.validate(known)
    return known


@pytest.mark.parametrize("spot", [True, False])
def test_an_end_is_told_of_a_machine_of_whatever_market(spot: bool) -> None:
    known = facts_of({"termination_time": "2026-11-26T10:00:00+01:00", "spot_instance": spot})
    assert known["builder_termination_time"] == "2026-11-26T09:00:00Z"
    assert (known["builder_spot"] is not None) is spot


def test_a_machine_that_is_ready() -> None:
    known = facts_of({})
    assert known["builder_unavailable_reason"] is None
    assert {name: known[name] for name in ("builder_id", "builder_address", "builder_location", "builder_fleet")} == {
        "builder_id": RAW["id"],
        "builder_address": "203.0.113.7",
        "builder_location": "am",
        "builder_fleet": "lab",
    }
    assert known["builder_spot"] == {"request_id": "r1", "bid": "small", "termination_time": None}
    assert known["builder_termination_time"] is None
    assert known["builder_created_at"] == "2026-11-23T03:00:00Z"
    assert known["builder_known_hosts_line"] == f"203.0.113.7 {KEY}"
    assert (known["builder_image_id"], known["builder_boot_id"]) == (IMAGE, BOOT_ID)
    assert "hush" not in json.dumps(known)


@pytest.mark.parametrize(
    ("kind", "address"),
    [("public_ipv4", "203.0.113.7"), ("private_ipv4", "10.1.2.3"), ("public_ipv6", "2001:db8::7")],
)
def test_the_address_of_the_wanted_kind(kind: str, address: str) -> None:
    assert facts_of({}, address_kind=kind)["builder_address"] == address


@pytest.mark.parametrize(
    ("raw", "evidence", "reason"),
    [
        ({"state": "provisioning"}, None, "its state is provisioning, not active"),
        ({"state": "hibernating"}, None, "its state is hibernating"),
        ({"state": "Going Down!"}, None, "its state is unknown"),
        ({"ip_addresses": None}, None, "no address"),
        ({}, Evidence(problems=["it is booting"]), "it is booting"),
        ({}, Evidence(), "no host key for port 22"),
        ({}, spoken(max_jobs=None), "max_jobs"),
    ],
)
def test_a_machine_that_is_not_ready_says_why(raw: dict[str, Any], evidence: Evidence | None, reason: str) -> None:
    assert reason in facts_of(raw, evidence)["builder_unavailable_reason"]


def test_the_operators_word_goes_before_the_machines_and_hostname_before_plan() -> None:
    known = facts_of(
        {},
        plans={"c3.small.x86": {"max_jobs": 16, "speed_factor": 2, "user": "nix", "defaults": {"features": ["kvm"]}}},
        hostnames={"builder": {"max_jobs": 1, "systems": ["aarch64-linux"]}},
    )
    assert known["builder_max_jobs"] == 1
    assert known["builder_speed_factor"] == 2
    assert known["builder_user"] == "nix"
    assert known["builder_systems"] == ["aarch64-linux"]
    assert known["builder_features"] == ["kvm"]


def test_defaults_only_complete_what_the_machine_says() -> None:
    plans = {"c3.small.x86": {"defaults": {"max_jobs": 16, "features": ["kvm"], "systems": ["armv7l-linux"]}}}
    known = facts_of({}, spoken(features=["big-parallel"]), plans=plans)
    assert known["builder_max_jobs"] == 4
    assert known["builder_features"] == ["big-parallel"]
    assert facts_of({}, Evidence(), plans=plans)["builder_systems"] == ["armv7l-linux"]


def test_the_operators_key_and_port_make_an_endpoint() -> None:
    known = facts_of(
        {}, Evidence(), plans={"c3.small.x86": {"host_key": KEY, "port": 2200, "systems": ["x86_64-linux"]}}
    )
    assert known["builder_endpoints"] == [{"systems": ["x86_64-linux"], "port": 2200, "host_keys": [KEY]}]
    assert known["builder_known_hosts_line"] == f"[203.0.113.7]:2200 {KEY}"


def test_the_key_of_another_port_is_not_the_machines() -> None:
    """A machine may offer builds of another system at a port of its own, with a key of its own."""
    other = Evidence(endpoints=[{"systems": ["armv7l-linux"], "port": 2222, "host_keys": [KEY]}])
    known = facts_of({}, other)
    assert (known["builder_host_key"], known["builder_known_hosts_line"]) == (None, None)
    assert "no host key for port 22" in known["builder_unavailable_reason"]
    there = facts_of({}, other, plans={"c3.small.x86": {"port": 2222, "max_jobs": 1}})
    assert (there["builder_host_key"], there["builder_systems"]) == (KEY, ["armv7l-linux"])
    assert there["builder_unavailable_reason"] is None


@pytest.mark.parametrize("option", ["plans", "hostnames"])
def test_a_misspelt_word_in_a_table_is_named(option: str) -> None:
    facts.check_table({"c3.small.x86": {"max_jobs": 2, "defaults": {"systems": []}}}, option)
    for table in ({"p": {"maxjobs": 2}}, {"p": {"defaults": {"defaults": {}}}}, {"p": 3}):
        with pytest.raises(errors.SettingError, match=option):
            facts.check_table(table, option)


@pytest.mark.parametrize(
    ("tag", "draining"),
    [("skip-hydra", True), ("skip-hydra=rollout", True), ("skip-hydra2", False), ("hydra", False)],
)
def test_draining_is_told_by_a_tag(tag: str, draining: bool) -> None:
    known = facts_of({"tags": [tag]})
    assert known["builder_draining"] is draining
    assert known["builder_unavailable_reason"] is None


def test_contradicting_fleet_tags_name_no_fleet() -> None:
    assert facts_of({"tags": ["nixmetal-fleet=a", "nixmetal-fleet=b"]})["builder_fleet"] is None


def test_a_machine_bought_otherwise_has_no_spot_facts() -> None:
    known = facts_of({"spot_instance": False, "hardware_reservation": {"href": "/metal/v1/hardware-reservations/h7"}})
    assert known["builder_spot"] is None
    assert known["builder_reservation_id"] == "h7"


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(set(RAW) - {"id"})), ANYTHING))
def test_odd_answers_keep_the_contract_or_are_none(raw: dict[str, Any]) -> None:
    with contextlib.suppress(errors.BadAnswer):
        facts_of(raw)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("state", value) for value in (None, "", 7, ["active"])),
        *(("tags", value) for value in (None, "skip-hydra", {}, [None], ["hydra", 7])),
        *(("termination_time", value) for value in ("", "soon", 7, {})),
    ],
)
def test_what_decides_is_never_guessed(field: str, value: Any) -> None:
    with pytest.raises(errors.BadAnswer, match=f"{field} that makes no sense of the device {RAW['id']}"):
        devices.lean({**RAW, field: value})


def test_a_device_without_state_or_tags_is_refused() -> None:
    for field in ("state", "tags"):
        with pytest.raises(errors.BadAnswer, match=field):
            devices.lean({name: value for name, value in RAW.items() if name != field})


def lean_address(address: Any) -> Any:
    return devices.lean({**RAW, "ip_addresses": [{"address": address, "public": True}]})["addresses"][0]["address"]


@pytest.mark.parametrize(
    "address",
    ["-oProxyCommand=touch /tmp/x", "host.test", "203.0.113.7 -x", "203.0.113.7\n", "fe80::1%a\nb", "", "1.2.3", 7, []],
)
def test_an_address_that_is_none_is_refused(address: Any) -> None:
    with pytest.raises(errors.BadAnswer, match="address that makes no sense"):
        lean_address(address)


def test_addresses_have_their_usual_form() -> None:
    assert (lean_address("203.0.113.7"), lean_address("2001:DB8:0::7")) == ("203.0.113.7", "2001:db8::7")


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a b", "a\n", "", "a,b", "[::1]", "a;b", "x" * 300])
def test_a_name_that_is_no_hosts_is_refused(name: str) -> None:
    with pytest.raises(errors.SettingError, match="address_name gives no name of a host for d1"):
        builders.use_address({"builder_id": "d1", "builder_port": 22, "builder_host_key": None}, name)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["address", "public", "address_family", "management"]), ANYTHING) | ANYTHING
    )
)
def test_odd_addresses_are_refused_or_left_out(addresses: list[Any]) -> None:
    with contextlib.suppress(errors.BadAnswer):
        devices.lean({**RAW, "ip_addresses": addresses})


@pytest.mark.parametrize("device_id", [None, "", 7, "a b", "../x", "-x"])
def test_a_device_without_a_sensible_id_is_refused(device_id: Any) -> None:
    with pytest.raises(errors.BadAnswer, match="no id"):
        devices.lean({"hostname": "x", "id": device_id})


def test_ansible_connects_by_the_facts() -> None:
    machine = {
        "device": devices.lean(RAW),
        "request_id": None,
        "evidence": {"endpoints": [], "description": {}, "problems": []},
    }
    variables = builders.host_variables(machine, facts.Choices())
    assert (variables["ansible_host"], variables["ansible_user"], variables["ansible_port"]) == (
        "203.0.113.7",
        "root",
        22,
    )
    machine["device"] = devices.lean({**RAW, "ip_addresses": []})
    assert "ansible_host" not in builders.host_variables(machine, facts.Choices())
