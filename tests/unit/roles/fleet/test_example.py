# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The skeleton to copy says nothing that the collection would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

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
    assert metal["metal_auth_token"].startswith("{{ lookup(")
