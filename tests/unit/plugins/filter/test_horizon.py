# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How near its end a machine counts as gone is one setting, which every filter reads alike and every role that hands it on declares."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.nixmetal.builders.plugins.filter import autoscale, fleet, machines, reclaim, rollout
from fleet_world import machine, reason_of, size

ROLES = Path(__file__).resolve().parents[4] / "roles"
NAME = "builder_reclaim_horizon_seconds"
MODULES = (autoscale, fleet, machines, reclaim, rollout)
FILTERS = {name: function for module in MODULES for name, function in module.FilterModule().filters().items()}
HOUR = 3600
READINGS: dict[str, Any] = {"jobs": {}, "requests": [], "offers": {}}
LIMITS = {"fleet": "lab", "owner": "autoscale", "ceiling_usd_per_hour": 1}
OVERVIEW = {**READINGS, "read_at": "", "bids": [], "prices": {}, "drain_tag": "skip-hydra", "boot_seconds": HOUR}
ROLLOUT = {"fleet": "lab", "owner": "rollout@lab", "images": {}}


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def ending(seconds: float) -> dict[str, Any]:
    return machine(1, builder_termination_time=stamp(seconds))


def not_in_machines_file(host: dict[str, Any], horizon: Any) -> bool:
    return FILTERS["nix_machines_plan"]([host], "/key", horizon_seconds=horizon)["included"] == []


def due(host: dict[str, Any], horizon: Any) -> bool:
    notices = [{"device_id": "m1", "termination_time": host["builder_termination_time"]}]
    return FILTERS["builder_reclaim_due"](notices, horizon) == notices


def by_the_rollout(host: dict[str, Any], horizon: Any) -> bool:
    step = FILTERS["builder_rollout_step"]([host], ["m1"], {**ROLLOUT, "horizon_seconds": horizon}, {}, {})
    return "reclaimed" in step["skipped"]["m1"]


def by_the_autoscaler(host: dict[str, Any], horizon: Any) -> bool:
    taken = {**READINGS, "queue": [], "jobs": {"m1": {"jobs": 0}}}
    plan = FILTERS["autoscale_plan"]([size()], [host], taken, {**LIMITS, "horizon_seconds": horizon})
    assert plan["remove"] == ([] if "reclaimed" in reason_of(plan, "m1") else ["m1"])
    return "reclaimed" in reason_of(plan, "m1")


def at_a_glance(host: dict[str, Any], horizon: Any) -> bool:
    found = FILTERS["fleet_overview"]([host], {**OVERVIEW, "horizon_seconds": horizon}, "lab")
    (row,) = found["machines"]
    words = " ".join(FILTERS["fleet_status_table"](found))
    assert ("RECLAIMED at" in words, "ends at" in words) == (row["reclaimed"], not row["reclaimed"])
    return bool(row["reclaimed"])


Look = Callable[[dict[str, Any], Any], bool]
LOOKS = [not_in_machines_file, due, by_the_rollout, by_the_autoscaler, at_a_glance]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("horizon", ["1h", "", 0, -1, "0", "nan", "inf", True, [60]])
def test_what_is_no_number_above_0_is_refused_by_its_name(look: Look, horizon: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=NAME):
        look(ending(120), horizon)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("horizon", "ends_in", "goes"),
    [(None, HOUR - 60, True), (None, HOUR + 60, False), ("7200", 7000, True), (7200.0, 7300, False)],
)
def test_only_an_end_within_it_counts(look: Look, horizon: Any, ends_in: float, goes: bool) -> None:
    assert look(ending(ends_in), horizon) is goes


def handed_on() -> list[str]:
    return sorted(
        path.name
        for path in ROLES.iterdir()
        if any(NAME in task.read_text(encoding="utf-8") for task in (path / "tasks").glob("*.yml"))
    )


@pytest.mark.parametrize("role", handed_on())
def test_each_role_that_hands_it_on_declares_it(role: str) -> None:
    specs = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    declared = [spec["options"][NAME] for spec in specs["argument_specs"].values() if NAME in spec.get("options", {})]
    assert declared != []
    for option in declared:
        assert (option["type"], option["default"]) == ("float", HOUR)
        (problem,) = ArgumentSpecValidator({NAME: option}).validate({NAME: "1h"}).error_messages
        assert NAME in problem
    assert NAME in (ROLES / role / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_each_role_that_goes_by_it() -> None:
    text = (ROLES / "builder_reclaim" / "README.md").read_text(encoding="utf-8")
    assert [role for role in handed_on() if f"`{role}`" not in text and role != "builder_reclaim"] == []
