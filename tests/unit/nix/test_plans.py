# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data files of the plans: complete, consistent, and what docs/plans.md shows."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
FILES = sorted((CHECKOUT / "nix/plans").glob("*.json"))
EXPECTED = {
    "baremetal_2a5",
    "c1.large.arm",
    "c2.large.arm",
    "c2.medium.x86",
    "c3.large.arm64",
    "c3.medium.x86",
    "generic.aarch64",
    "generic.x86_64",
    "m1.xlarge.x86",
    "m2.xlarge.x86",
    "m3.large.x86",
    "n3.xlarge.x86",
    "s3.xlarge.x86",
}
TEXTS = {"type": "array", "items": {"type": "string", "pattern": "^[!-~]+$"}}
COUNT = {"type": ["integer", "null"], "minimum": 1}
VARIANT = {
    "type": "object",
    "required": ["max_jobs", "cores_per_job"],
    "additionalProperties": False,
    "properties": {"max_jobs": COUNT, "cores_per_job": COUNT},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        *("slug", "aliases", "system", "processor", "threads", "memory_gb", "disks", "network", "consoles"),
        *("kernel_params", "initrd_modules", "variants", "sources"),
    ],
    "properties": {
        "slug": {"type": "string", "pattern": "^[a-z0-9_.]+$"},
        "aliases": TEXTS,
        "system": {"enum": ["x86_64-linux", "aarch64-linux"]},
        "processor": {"type": "string", "minLength": 1},
        "threads": COUNT,
        "memory_gb": COUNT,
        "disks": {"type": "string", "minLength": 1},
        "network": {"type": "string", "minLength": 1},
        "consoles": {**TEXTS, "minItems": 1},
        "kernel_params": TEXTS,
        "initrd_modules": {**TEXTS, "minItems": 1, "uniqueItems": True},
        "arm32": {"type": ["boolean", "null"]},
        "note": {"type": "string"},
        "sources": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        "variants": {
            "type": "object",
            "required": ["standard", "big-parallel"],
            "additionalProperties": False,
            "properties": {"standard": VARIANT, "big-parallel": VARIANT},
        },
    },
}


def read(file: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return plan


def test_every_plan_that_operators_know_is_there() -> None:
    assert {read(file)["slug"] for file in FILES} == EXPECTED


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_plan_is_complete(file: Path) -> None:
    plan = read(file)
    jsonschema.validate(plan, SCHEMA)
    assert plan["slug"] == file.stem
    assert ("arm32" in plan) == (plan["system"] == "aarch64-linux")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("name", ["standard", "big-parallel"])
def test_jobs_times_cores_are_the_threads(file: Path, name: str) -> None:
    plan = read(file)
    variant = plan["variants"][name]
    if plan["threads"] is None:
        # One of the two is counted by the machine itself.
        assert [variant["max_jobs"], variant["cores_per_job"]].count(None) == 1
    else:
        assert variant["max_jobs"] * variant["cores_per_job"] == plan["threads"]


def test_no_name_stands_for_two_plans() -> None:
    names = [name for file in FILES for name in [read(file)["slug"], *read(file)["aliases"]]]
    assert len(names) == len(set(names))
    assert len({name.replace(".", "-") for name in names}) == len(names)


def test_the_table_in_the_documentation_is_of_these_plans() -> None:
    location = CHECKOUT / "docs/plans_table.py"
    spec = importlib.util.spec_from_file_location("plans_table", location)
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = (CHECKOUT / "docs/plans.md").read_text(encoding="utf-8")
    assert written == tool.document(), "docs/plans.md is stale: run python docs/plans_table.py"
