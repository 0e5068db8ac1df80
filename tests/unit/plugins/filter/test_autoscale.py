# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of the autoscaler: what is refused, what is ordered, what is shown."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.nixmetal.builders.plugins.filter.autoscale import FilterModule
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems
from fleet_world import machine, offer, plan, readings, settings, size

FILTERS = FilterModule().filters()
CHANNELS = [{"name": "stable", "base_url": "http://192.0.2.1/"}]
LIMITS = {"fleet": "lab", "owner": "autoscale", "ceiling_usd_per_hour": 5}


def problems(*classes: Any) -> list[str]:
    found: list[str] = FILTERS["autoscale_problems"](list(classes), CHANNELS, "lab", 5)
    return found


def test_good_declaration() -> None:
    assert problems(size(), size(name="big", features=["big-parallel"])) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"divisor": 0}, "class 'small': divisor must be at least 1, not 0"),
        ({"maximum": 3}, "class 'small': maximum is not a known field"),
        ({"min": 6}, "class 'small': min is 6, more than max (5)"),
        ({"forced_age_seconds": 7200}, "class 'small': forced_age_seconds needs a max_age_seconds that is not greater"),
        (
            {"forced_age_seconds": 7200, "max_age_seconds": 9000},
            "class 'small': forced_age_seconds needs a max_age_seconds that is not greater",
        ),
        ({"billing_period_seconds": 60}, "class 'small': billing_margin_seconds must be more than 0 and at most"),
        (
            {"offers": [offer(kind="reserved")]},
            "class 'small': offer 'c3-small-x86': kind reserved cannot be bought by need",
        ),
        ({"offers": [offer(channel="odd")]}, "offer 'small-c3-small-x86': channel 'odd' is not in netboot_channels"),
        (
            {"offers": [offer(max_bid_usd_per_hour=0.123)]},
            "offer 'small-c3-small-x86': max_bid_usd_per_hour 0.123 is not in",
        ),
        (
            {"offers": [offer(tags=["nixmetal-x"])]},
            "offer 'small-c3-small-x86': tag 'nixmetal-x' begins with nixmetal-",
        ),
        ({"offers": [offer(), offer()]}, "offer 'small-c3-small-x86': name is used twice"),
    ],
)
def test_class_and_field_are_named(change: dict[str, Any], words: str) -> None:
    (problem,) = problems(size(**change))
    assert problem.startswith(words)


def test_two_classes_of_the_same_work() -> None:
    assert problems(size(), size(name="other")) == [
        "class 'other': x86_64-linux with the same features is class 'small' already"
    ]
    assert problems(size(), size())[0] == "class 'small': name is used twice"


def test_ceiling_and_fleet_are_wanted() -> None:
    assert len(FILTERS["autoscale_problems"]([size()], CHANNELS, "", None)) == 2


def test_order_is_what_the_contract_says() -> None:
    declared = [size(offers=[offer(tags=["hydra"], kind="on_demand")])]
    order = FILTERS["autoscale_order"](
        declared, {"class": "small", "offer": "c3-small-x86", "metro": "am", "count": 3}, CHANNELS
    )
    request = {"fleet": "lab", "bid": order["bid"], "wait": False, "wait_timeout": 1}
    assert contract_problems(request, "provider-verbs", "create_request") == []
    assert order["provider"] == "equinix_metal"
    assert order["bid"]["tags"] == ["hydra", "nixmetal-autoscale=small.c3-small-x86", "nixmetal-usd-per-hour=0.5"]
    assert order["bid"]["boot_url"] == "http://192.0.2.1/stable/netboot.ipxe"


def test_machine_that_was_ordered_is_known_again() -> None:
    order = FILTERS["autoscale_order"](
        [size()], {"class": "small", "offer": "c3-small-x86", "metro": "am", "count": 1}, CHANNELS
    )
    bought = machine(1, builder_tags=["nixmetal-fleet=lab", *order["bid"]["tags"]])
    answer = plan(readings(bought))
    assert (answer["remove"], answer["usd_per_hour"]) == (["m1"], 0.5)


def test_plan_takes_host_variables_and_a_time() -> None:
    host = {**machine(1), "ansible_host": "192.0.2.9"}
    given = {"queue": [], "jobs": {"m1": {"jobs": 0}}, "requests": []}
    answer = FILTERS["autoscale_plan"]([size()], [host], given, LIMITS, "2026-11-24T12:00:00+00:00")
    assert answer["remove"] == ["m1"]
    for wrong in ("2026-11-24T12:00:00", "noon"):
        with pytest.raises(AnsibleFilterError, match="now is"):
            FILTERS["autoscale_plan"]([size()], [host], given, LIMITS, wrong)


def test_table_fits_a_terminal_and_says_everything() -> None:
    declared = settings(
        size(max=1), size(name="a-class-with-a-long-name", features=["kvm"], min=1), ceiling_usd_per_hour=0.5
    )
    stranger = machine(2, builder_fleet="other")
    answer = plan(readings(machine(1, builder_host_key=None), stranger, runnable=50, jobs={}), declared)
    lines = FILTERS["autoscale_table"](answer)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 72
    assert "a-class-with-a-lo~" in text
    assert "keep m1" in text
    assert "would pass the ceiling of" in " ".join(lines).replace("   ", " ")
    assert "note: not looked at: 1 machine of other fleets" in text
    assert "keep m1" not in "\n".join(FILTERS["autoscale_table"](answer, False))


def test_table_of_an_unknown_queue() -> None:
    text = "\n".join(FILTERS["autoscale_table"](plan(readings(runnable=None))))
    assert "small: Hydra is down" in text
    assert "nothing is to be done" in text


def decided(answers: dict[str, Any], state: Any = None, *hosts: dict[str, Any]) -> dict[str, Any]:
    queue = [{"system": "x86_64-linux", "features": [], "runnable": 9, "running": 0}]
    jobs = {host["builder_id"]: {"jobs": 0} for host in hosts}
    given = {"queue": queue, "jobs": jobs, "requests": [], "channels": answers, "state": state}
    answer: dict[str, Any] = FILTERS["autoscale_plan"](
        [size()], list(hosts), given, LIMITS, "2026-11-24T12:00:00+00:00"
    )
    return answer


def test_nothing_is_bought_that_could_not_boot() -> None:
    answer = decided({"stable": {"status": 404, "url": "http://192.0.2.1/stable/manifest.json"}})
    assert (answer["create"], answer["classes"][0]["obstacle"][:33]) == ([], "channel 'stable' has no release (")
    good = {"stable": {"status": 200, "json": {"image_id": "i", "system": "x86_64-linux"}}}
    assert decided(good)["create"][0]["new"] == 1


def test_image_of_the_channel_decides_which_machine_goes() -> None:
    good = {"stable": {"status": 200, "json": {"image_id": "a" * 32 + "-image", "system": "x86_64-linux"}}}
    hosts = [machine(1, builder_image_id="a" * 32 + "-image", age=7200), machine(2)]
    assert decided(good, None, *hosts)["remove"] == ["m2"]
    assert decided({}, None, *hosts)["remove"] == ["m1"], "the oldest, where nothing is known of images"


@pytest.mark.parametrize("state", ["", "{", "[]", '{"schema": 1, "fleet": "lab", "wanted": {}, "failed": {}}'])
def test_state_is_taken_as_text(state: str) -> None:
    assert decided({}, state)["state"]["wanted"] == {"small": [[1795521600.0, 1]]}


def test_machine_without_a_price_costs_what_the_plan_costs_on_demand() -> None:
    offers = {"equinix_metal": {"offers": [
        {"plan": "c3.small.x86", "metro": metro, "spot_price_usd_per_hour": 0.1, "on_demand_price_usd_per_hour": price}
        for metro, price in (("am", 0.75), ("da", 0.8), ("ny", None))
    ]}}  # fmt: skip
    given = {"queue": [], "jobs": {}, "requests": [], "offers": offers}
    host = machine(1, builder_tags=["nixmetal-fleet=lab"])
    assert FILTERS["autoscale_plan"]([size()], [host], given, LIMITS)["usd_per_hour"] == 0.8
    told = {**given, "prices": {"m1": 0.25}}
    assert FILTERS["autoscale_plan"]([size()], [host], told, LIMITS)["usd_per_hour"] == 0.25
