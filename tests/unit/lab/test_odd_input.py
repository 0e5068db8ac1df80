# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a client sends, the emulator neither breaks nor writes it into files of other programs."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
SPOT = f"/projects/{PROJECT}/spot-market-requests"
DEVICES = f"/projects/{PROJECT}/devices"

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
odd = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
FIELDS = [
    "plan",
    "metro",
    "facility",
    "operating_system",
    "hostname",
    "tags",
    "devices_min",
    "devices_max",
    "max_bid_price",
    "end_at",
    "instance_parameters",
    "spot_instance",
    "spot_price_max",
    "ipxe_script_url",
    "userdata",
    "customdata",
    "locked",
    "always_pxe",
    "termination_time",
    "hostnames",
    "type",
    "servers",
    "code",
    "message",
    "label",
    "key",
    "ssh_keys",
    "no_ssh_keys",
    "project_ssh_keys",
    "facilities",
    "description",
    "billing_cycle",
    "hardware_reservation_id",
    "preserve_data",
    "deprovision_fast",
    "force_delete",
]
bodies = st.dictionaries(st.sampled_from(FIELDS), odd, max_size=5)


@pytest.fixture
def small_lab(make_lab):
    return make_lab(pool={"first": "10.213.77.101", "last": "10.213.77.108"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=bodies, instance=bodies)
def test_no_body_breaks_it(small_lab, changes, instance):
    lab = small_lab
    good = lab.bid()
    body = good | changes
    if "instance_parameters" not in changes:
        body["instance_parameters"] = good["instance_parameters"] | instance
    order = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "da"}
    calls = [
        ("POST", SPOT, body),
        ("POST", DEVICES, order | changes),
        ("POST", "/capacity/metros", changes),
        ("POST", "/ssh-keys", changes),
    ]
    for device in lab.devices(per_page=1):
        calls += [("PUT", f"/devices/{device['id']}", changes), ("POST", f"/devices/{device['id']}/actions", changes)]
    for method, path, sent in calls:
        answer = lab.http.request(method, f"/metal/v1{path}", content=json.dumps(sent))
        assert answer.status_code in (200, 201, 202, 422), f"{method} {path}: {answer.status_code}"
        if answer.content:
            json.loads(answer.text)
    lab.pass_time(2)
    for path in (SPOT, DEVICES):
        assert lab.http.get(f"/metal/v1{path}?include=devices,plan&per_page=2").status_code == 200


@pytest.mark.parametrize("text", ["a\n", "a\nb", "a,b", "a b", "-a", "a_b", "a\u00e4", ""])
def test_hostnames_that_would_break_a_hosts_file_are_refused(lab, text):
    for instance in ({"hostname": text}, {"hostnames": [text]}):
        answer = lab.http.post(SPOT, json=lab.bid(instance_parameters=instance))
        assert answer.status_code == (201 if instance == {"hostname": ""} else 422)


@pytest.mark.parametrize("text", ["http://a/\n", 'http://a/"', "http://a b", "ftp://a", "http://", "http://\u00e4/"])
def test_urls_that_would_break_an_options_file_are_refused(lab, text):
    assert lab.http.post(SPOT, json=lab.bid(instance_parameters={"ipxe_script_url": text})).status_code == 422


def test_numbers_that_json_does_not_have_are_refused(lab):
    assert lab.http.post(SPOT, content='{"max_bid_price": NaN}').status_code == 422


def test_a_request_beyond_the_pool_gets_what_there_is(make_lab):
    lab = make_lab(pool={"first": "10.213.77.101", "last": "10.213.77.103"})
    lab.request_spot(devices_max=50)
    lab.pass_time(10)
    assert len(lab.devices()) == 3
