# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told about a declaration before anybody is asked anything."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import bids_problems, cost_per_hour

CHANNELS = ({"name": "lab-x86_64-linux", "base_url": "http://10.213.77.11"},)


def problems_of(bids: Any, channels: Any = CHANNELS, fleet: Any = "lab", ceiling: Any = 10) -> list[str]:
    return bids_problems(bids, channels, fleet, ceiling)


def test_good_declaration_has_none(bid: Any) -> None:
    assert problems_of([bid(), bid(name="large")]) == []
    assert problems_of([]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_bid_usd_per_hour": 0}, "bid 'small': max_bid_usd_per_hour must be at least 0.01, not 0"),
        ({"max_bid_usd_per_hour": -0.2}, "bid 'small': max_bid_usd_per_hour must be at least 0.01, not -0.2"),
        ({"max_bid_usd_per_hour": "0.2"}, "bid 'small': max_bid_usd_per_hour must be a number, not '0.2'"),
        ({"max_bid_usd_per_hour": 0.123}, "bid 'small': max_bid_usd_per_hour 0.123 is not in whole cents"),
        ({"max_bid_usd_per_hour": float("inf")}, "bid 'small': max_bid_usd_per_hour must be a number, not inf"),
        ({"max_bid_usd_per_hour": 1e300}, "bid 'small': max_bid_usd_per_hour must be at most 100000, not 1e+300"),
        ({"tags": ["hydra", "nixmetal-fleet=x"]}, "bid 'small': tag 'nixmetal-fleet=x' begins with nixmetal-"),
        ({"count": 0}, "bid 'small': count must be at least 1, not 0"),
        ({"count": True}, "bid 'small': count must be a whole number, not true"),
        ({"kind": "lease"}, "bid 'small': kind must be one of spot, on_demand, reserved, not 'lease'"),
        ({"metros": []}, "bid 'small': metros must name at least one"),
        ({"metros": ["am", "am"]}, "bid 'small': metros names 'am' twice"),
        ({"metros": ["am", 7]}, "bid 'small': metros[1] must be a string, not 7"),
        ({"channel": "nixos"}, "bid 'small': channel 'nixos' is not in netboot_channels (declared: lab-x86_64-linux)"),
        ({"metro": "am"}, "bid 'small': metro is not a known field"),
        ({"name": "Small"}, "bid 'Small': name is 'Small', which does not match"),
    ],
)
def test_bid_and_field_are_named(bid: Any, change: dict[str, Any], words: str) -> None:
    (problem,) = problems_of([bid(**change)])
    assert problem.startswith(words)


def test_bid_without_name_is_told_by_its_place(bid: Any) -> None:
    nameless = bid()
    del nameless["name"]
    assert problems_of([bid(), nameless, "x"]) == [
        "bid number 2: name is missing",
        "bid number 3 must be a mapping, not 'x'",
    ]


def test_all_problems_are_told_at_once(bid: Any) -> None:
    assert len(problems_of([bid(count=0), bid(name="large", kind="lease")], fleet="", ceiling=None)) == 4


def test_same_name_twice(bid: Any) -> None:
    assert problems_of([bid(), bid()]) == ["bid 'small': name is used by more than one bid"]


@pytest.mark.parametrize("ceiling", [None, "", 0, -1, "much", "nan", True, "inf"])
def test_ceiling_that_is_none(bid: Any, ceiling: Any) -> None:
    (problem,) = problems_of([bid()], ceiling=ceiling)
    assert "set spot_fleet_ceiling_usd_per_hour to the most USD" in problem


def test_bids_above_the_ceiling(bid: Any) -> None:
    (problem,) = problems_of([bid(count=3)], ceiling="1.04")
    assert "may cost 1.05 USD per hour, more than spot_fleet_ceiling_usd_per_hour (1.04)" in problem
    assert problems_of([bid(count=3)], ceiling=1.05) == []


def test_cost_is_exact(bid: Any) -> None:
    assert str(cost_per_hour([bid(count=3, max_bid_usd_per_hour=0.1)])) == "0.3"


@pytest.mark.parametrize("fleet", ["", None, "My Fleet", "a=b"])
def test_fleet_name(bid: Any, fleet: Any) -> None:
    (problem,) = problems_of([bid()], fleet=fleet)
    assert problem.startswith("spot_fleet_name must be set")


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ("lab", "netboot_channels must be a list"),
        ([{"name": "lab-x86_64-linux"}], "base_url of 'lab-x86_64-linux' must be an http or https address"),
        ([], "(declared: none)"),
    ],
)
def test_channels(bid: Any, channels: Any, words: str) -> None:
    (problem,) = problems_of([bid()], channels=channels)
    assert words in problem


def test_not_a_list_at_all() -> None:
    assert problems_of({"name": "small"}) == ["spot_fleet_bids must be a list, not a mapping"]
