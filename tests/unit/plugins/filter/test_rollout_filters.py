# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles hand to the filters of drains and rollouts, and what they get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.nixmetal.builders.plugins.filter.drains import FilterModule as Drains
from ansible_collections.nixmetal.builders.plugins.filter.rollout import FilterModule as Rollout

CHANNELS = [
    {"name": "stable", "base_url": "http://web.example.org/"},
    {"name": "next", "base_url": "http://web.example.org"},
]
SETTINGS = {"fleet": "ci", "owner": "rollout@ci", "images": {"http://web.example.org/stable/netboot.ipxe": "b-image"}}


def call(name: str, *arguments: Any) -> Any:
    return (Drains().filters() | Rollout().filters())[name](*arguments)


def test_images_by_the_script_that_machines_boot() -> None:
    found = call("builder_rollout_images", CHANNELS, {"stable": "b-image"})
    assert found == SETTINGS["images"]
    with pytest.raises(AnsibleFilterError, match="names no old"):
        call("builder_rollout_images", CHANNELS, {"old": "x"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at_once": "0"}, "builder_rollout_at_once"),
        ({"at_once": "101%"}, "builder_rollout_at_once"),
        ({"at_once": "half"}, "builder_rollout_at_once"),
        ({"owner": "two words"}, "builder_drain_owner"),
        ({"drain_policy": "maybe"}, "builder_drain_policy"),
        ({"canary": 1}, "canary"),
    ],
)
def test_settings_without_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        call("builder_rollout_step", [], [], SETTINGS | changes, {}, {}, 0)


def test_a_step_is_plain_data_which_the_next_one_takes() -> None:
    step = call("builder_rollout_step", [], ["gone"], SETTINGS, {}, {}, 0)
    assert step["skipped"] == {"gone": "it is gone"}
    assert step["finished"]
    again = call(
        "builder_rollout_step", [], ["gone"], SETTINGS, json.loads(json.dumps(step))["memory"], {"idle": []}, 1
    )
    assert again["skipped"] == step["skipped"]


def test_the_problem_of_each_machine_that_was_to_build() -> None:
    results = [
        {"builder": "a", "problem": ""},
        {"builder": "b", "problem": "no compiler"},
        {"builder": "b", "problem": ""},
    ]
    told = call("builder_verify_problems", results, ["a", "b", "c", "d"], [{"id": "c", "reason": "no address"}])
    assert told["a"] == ""
    assert told["b"] == "no compiler"
    assert told["c"] == "it was not asked: no address"
    assert "no machine" in told["d"]


def test_the_summary_is_of_the_last_step() -> None:
    memory = {"a": {"channel": "http://web.example.org/stable/netboot.ipxe", "begun": 100.0, "tries": 1}}
    step = {
        "done": ["a"],
        "failed": {},
        "skipped": {},
        "waiting": [],
        "under_way": [],
        "finished": True,
        "memory": memory,
    }
    assert call("builder_rollout_summary", step, SETTINGS["images"], "ci", 165.0) == [
        "1 of 1 machines of the fleet ci run their image, 0 failed",
        "Rebooted  1",
        "Time      65 s",
        "Image     b-image",
        "  a rebooted",
    ]
