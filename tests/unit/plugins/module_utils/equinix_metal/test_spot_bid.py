# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A declared bid: what is wrong with it is told before anything is sent, and what is sent loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import ownership
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_bid import bid_from_options

GOOD: dict[str, Any] = {
    "fleet": "lab",
    "name": "small",
    "plan": "c3.small.x86",
    "metro": "AM",
    "max_bid_price": 0.35,
    "devices_max": 2,
    "operating_system": "custom_ipxe",
    "ipxe_script_url": "http://web.test/netboot.ipxe",
    "always_pxe": True,
    "tags": ["hydra"],
    "hostname": "builder-{{index}}",
}


def test_what_is_sent() -> None:
    assert bid_from_options(GOOD).body() == {
        "devices_min": 2,
        "devices_max": 2,
        "max_bid_price": 0.35,
        "metro": "am",
        "end_at": "2031-11-23T08:12:58Z",
        "instance_parameters": {
            "plan": "c3.small.x86",
            "operating_system": "custom_ipxe",
            "ipxe_script_url": "http://web.test/netboot.ipxe",
            "always_pxe": True,
            "hostname": "builder-{{index}}",
            "tags": ["hydra", "nixmetal-fleet=lab", "nixmetal-bid=small"],
        },
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_bid_price": 0}, "more than 0"),
        ({"max_bid_price": -1}, "more than 0"),
        ({"max_bid_price": None}, "more than 0"),
        ({"max_bid_price": float("nan")}, "more than 0"),
        ({"max_bid_price": 0.333}, "whole cents"),
        ({"max_bid_price": 0.001}, "whole cents"),
        ({"devices_max": 0}, "devices_max"),
        ({"devices_max": 1001}, "devices_max"),
        ({"devices_min": 3}, "more than devices_max"),
        ({"cost_ceiling_usd_per_hour": 0.69}, "may cost 0.70 USD per hour"),
        ({"fleet": "Lab"}, "fleet must be"),
        ({"fleet": ""}, "fleet must be"),
        ({"name": "a_b"}, "name must be"),
        ({"name": None}, "name must be"),
        ({"plan": ""}, "plan is needed"),
        ({"metro": None}, "metro is needed"),
        ({"ipxe_script_url": None}, "ipxe_script_url is needed"),
        ({"ipxe_script_url": "web.test/x"}, "not an http or https URL"),
        ({"hostname": "a_b"}, "no underscore"),
        ({"hostnames": ["only-one"]}, "1 names for devices_max=2"),
        ({"tags": ["nixmetal-fleet=other"]}, "set by this module itself"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        bid_from_options({**GOOD, **change})
    assert words in str(caught.value)


def test_the_ceiling_itself_is_allowed() -> None:
    assert bid_from_options({**GOOD, "cost_ceiling_usd_per_hour": 0.7}).most_usd_per_hour == 0.7
    three = {**GOOD, "devices_max": 3, "cost_ceiling_usd_per_hour": 3 * 0.35}
    assert bid_from_options(three).most_usd_per_hour == 1.05


def test_the_end_marks_the_bid_whatever_its_form() -> None:
    end = ownership.end_of("lab", "small")
    for text in (end.isoformat(), end.strftime("%Y-%m-%dT%H:%M:%SZ"), end.strftime("%Y-%m-%dT%H:%M:%S.000Z")):
        assert ownership.ends_alike(text, "lab", "small")
    for other in (None, "", "soon", "2031-11-23T08:12:59Z", 7):
        assert not ownership.ends_alike(other, "lab", "small")
    assert not ownership.ends_alike(end.isoformat(), "lab", "other")


def test_ends_lie_in_their_span_and_tell_the_fleet() -> None:
    fleets = [f"fleet-{number}" for number in range(60)]
    ends = {fleet: [ownership.end_of(fleet, f"bid-{number}") for number in range(10)] for fleet in fleets}
    assert min(map(min, ends.values())) >= ownership.EPOCH
    assert max(map(max, ends.values())).year <= 2034
    assert sum(len(set(of_fleet)) for of_fleet in ends.values()) >= 597
    told = {(a, b) for a in fleets for b in fleets for end in ends[a] if ownership.ends_for_fleet(end.isoformat(), b)}
    assert told == {(fleet, fleet) for fleet in fleets}


def test_an_end_without_a_mark_is_no_fleets() -> None:
    for text in (None, "", "soon", "2029-12-31T23:59:59Z", "2038-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
        assert not ownership.ends_for_fleet(text, "lab")
