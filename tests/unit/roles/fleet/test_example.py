# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The skeleton to copy says nothing that the collection would refuse."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import bids_problems

INVENTORIES = Path(__file__).resolve().parents[4] / "inventories"


@pytest.mark.parametrize("name", ["example", "lab"])
def test_bids_are_in_order(name: str) -> None:
    variables: dict[str, Any] = {}
    for path in (INVENTORIES / name / "group_vars" / "all").glob("*.yml"):
        variables |= yaml.safe_load(path.read_text(encoding="utf-8"))
    problems = bids_problems(
        variables["spot_fleet_bids"],
        variables["netboot_channels"],
        variables["spot_fleet_name"],
        variables["spot_fleet_ceiling_usd_per_hour"],
    )
    assert problems == []


def test_example_asks_the_same_project_everywhere_and_holds_no_token() -> None:
    plugin = yaml.safe_load((INVENTORIES / "example" / "metal_builders.yml").read_text(encoding="utf-8"))
    metal = yaml.safe_load((INVENTORIES / "example" / "group_vars" / "all" / "metal.yml").read_text(encoding="utf-8"))
    assert (plugin["metal_api_url"], plugin["project_id"]) == (metal["metal_api_url"], metal["metal_project_id"])
    assert "metal_auth_token" not in plugin
    assert "metal_auth_token" not in metal


def variables() -> dict[str, Any]:
    """All that the skeleton sets, for all hosts and for the coordinators."""
    found: dict[str, Any] = {}
    for path in sorted((INVENTORIES / "example" / "group_vars").rglob("*.yml")):
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def options() -> dict[str, dict[str, Any]]:
    """All arguments of all roles, by name."""
    found: dict[str, dict[str, Any]] = {}
    for path in INVENTORIES.parent.glob("roles/*/meta/argument_specs.yml"):
        for spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found |= spec.get("options") or {}
    return found


def test_roles_accept_what_the_example_sets() -> None:
    known = options()
    given = {name: value for name, value in variables().items() if not name.startswith(("ansible_", "metal_"))}
    assert len(given) > 10
    assert set(given) - set(known) == set()
    validator = ArgumentSpecValidator({name: {**known[name], "required": False} for name in given})
    assert validator.validate(given).error_messages == []


def test_what_the_example_leaves_to_you_is_an_option_too() -> None:
    """Settings that are commented out."""
    texts = [path.read_text(encoding="utf-8") for path in (INVENTORIES / "example" / "group_vars").rglob("*.yml")]
    named = {name for text in texts for name in re.findall(r"^# ([a-z]+_[a-z_]+):", text, re.MULTILINE)}
    assert len(named) > 8
    assert named - set(options()) == set()


def test_the_example_parses_as_an_inventory(tmp_path: Path) -> None:
    """But for the rented machines, which nobody can ask for here."""
    shutil.copytree(
        INVENTORIES / "example", tmp_path / "inventory", ignore=shutil.ignore_patterns("metal_builders.yml")
    )
    command = [sys.executable, "-m", "ansible", "inventory", "-i", str(tmp_path / "inventory"), "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    groups = json.loads(listed.stdout)
    for group in ("nix_build_hosts", "netboot_hosts", "nix_coordinators"):
        (host,) = groups[group]["hosts"]
        assert groups["_meta"]["hostvars"][host]["spot_fleet_name"] == "hydra"
    assert "warning" not in listed.stderr.lower()


def test_each_file_says_what_there_is_to_decide() -> None:
    for path in (INVENTORIES / "example").rglob("*.yml"):
        assert path.read_text(encoding="utf-8").splitlines()[1].startswith("# "), path
