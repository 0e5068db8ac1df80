# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the image that a channel boots is one for the plan of a bid."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.channel_images import (
    channel_image_problems,
    manifest_urls,
    systems_of_plans,
)

URL = "http://netboot.example.org/stable/manifest.json"


def problems(plan: str, system: str = "x86_64-linux", plans: Any = None, **answer: Any) -> list[str]:
    manifest = {"image_id": "0-image", "system": system} | ({} if plans is None else {"plans": plans})
    bid = {"name": "first", "plan": plan, "channel": "stable"}
    return channel_image_problems([bid], {"stable": {"status": 200, "url": URL, "json": manifest, **answer}})


@pytest.mark.parametrize(
    ("plan", "system", "plans"),
    [
        pytest.param("c3.medium.x86", "x86_64-linux", ["c3.medium.x86"], id="named"),
        pytest.param("C3.Medium.x86", "x86_64-linux", ["c3.medium.x86"], id="in capitals"),
        pytest.param("c3.large.arm", "aarch64-linux", ["c3.large.arm64", "c3.large.arm"], id="by an alias"),
        pytest.param("own.hardware", "x86_64-linux", ["c3.medium.x86", "generic.x86_64"], id="generic"),
        pytest.param("c3.small.x86", "x86_64-linux", None, id="an image that does not say"),
        pytest.param("c3.medium.x86", "x86_64-linux", None, id="of the same system"),
    ],
)
def test_an_image_for_the_plan_is_bought_for(plan: str, system: str, plans: Any) -> None:
    assert problems(plan, system, plans) == []


@pytest.mark.parametrize(
    ("plan", "system", "plans", "words"),
    [
        ("m3.large.x86", "x86_64-linux", ["c3.medium.x86"], "which is for c3.medium.x86, not for m3.large.x86"),
        ("own.hardware", "x86_64-linux", ["c3.medium.x86"], "not for own.hardware"),
        ("c3.large.arm64", "x86_64-linux", ["generic.x86_64"], "for x86_64-linux, and c3.large.arm64 is aarch64-linux"),
        ("c3.medium.x86", "aarch64-linux", None, "for aarch64-linux, and c3.medium.x86 is x86_64-linux"),
    ],
)
def test_an_image_for_others_is_told(plan: str, system: str, plans: Any, words: str) -> None:
    (problem,) = problems(plan, system, plans)
    assert problem.startswith("bid 'first': channel 'stable' boots 0-image")
    assert words in problem


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 404, "json": None}, "has no release"),
        ({"status": -1, "json": None, "msg": "Connection refused"}, "Connection refused"),
        ({"status": 500, "json": {"system": "x86_64-linux"}}, "status 500"),
        ({"json": ["x86_64-linux"]}, "it is not known what channel 'stable' boots"),
    ],
)
def test_what_is_not_known_is_not_bought(answer: dict[str, Any], words: str) -> None:
    (problem,) = problems("c3.medium.x86", **answer)
    assert words in problem
    assert URL in problem


def test_a_channel_that_nobody_asked_is_not_known() -> None:
    bid = {"name": "first", "plan": "c3.medium.x86", "channel": "stable"}
    assert len(channel_image_problems([bid], {})) == 1


def test_each_channel_is_asked_once() -> None:
    bids = [{"channel": "b"}, {"channel": "a"}, {"channel": "b"}]
    channels = [{"name": name, "base_url": "http://example.org/netboot/"} for name in "abc"]
    assert manifest_urls(bids, channels) == {
        "a": "http://example.org/netboot/a/manifest.json",
        "b": "http://example.org/netboot/b/manifest.json",
    }


def test_plans_are_known_by_all_their_names() -> None:
    assert systems_of_plans()["c3.large.arm"] == systems_of_plans()["c3.large.arm64"] == "aarch64-linux"


@pytest.mark.parametrize("answer", [{"status": 404}, {"status": -1}, {"status": 500}, {"status": 200, "json": []}])
def test_in_a_rehearsal_a_channel_may_still_be_empty(answer: dict[str, Any]) -> None:
    bid = {"name": "first", "plan": "c3.medium.x86", "channel": "stable"}
    assert channel_image_problems([bid], {"stable": answer}, foretold=True) == []
    wrong = {"status": 200, "json": {"image_id": "0-image", "system": "aarch64-linux"}}
    assert len(channel_image_problems([bid], {"stable": wrong}, foretold=True)) == 1
