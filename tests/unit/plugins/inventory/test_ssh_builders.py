# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Own machines as builders: the same facts as rented ones, and no reading without their tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines import machines_plan

NAME = "nixmetal.builders.ssh_builders"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
MACHINES: dict[str, Any] = {
    "rack1-a": {"address": "192.0.2.10", "host_key": KEY},
    "rack1-b": {
        "address": "192.0.2.11",
        "host_key": KEY,
        "max_jobs": 4,
        "features": ["big-parallel"],
        "tags": ["hydra"],
    },
    "rack1-c": {"address": None},
}


def parse(root: Path, inventory: InventoryData | None = None, tags: Any = None, **options: Any) -> InventoryData:
    tags_file = root / "tags.json"
    tags_file.write_text(json.dumps({"schema": 1, "machines": tags or {}}), encoding="utf-8")
    settings = {
        "plugin": NAME,
        "fleet": "ci",
        "tags_file": str(tags_file),
        "defaults": {"systems": ["x86_64-linux"], "max_jobs": 16},
        "machines": MACHINES,
        **options,
    }
    path = root / "own.ssh_builders.yml"
    path.write_text(
        yaml.safe_dump({name: value for name, value in settings.items() if value is not None}), encoding="utf-8"
    )
    inventory = inventory or InventoryData()
    plugin = inventory_loader.get(NAME)
    assert plugin.verify_file(str(path))
    plugin.parse(inventory, DataLoader(), str(path), cache=False)
    return inventory


def test_machines_are_builders_of_a_complete_reading(tmp_path: Path) -> None:
    inventory = parse(tmp_path, keyed_groups=[{"key": "builder_features", "prefix": "has"}])
    reading = inventory.groups["all"].vars["builders_reading"]
    assert contract_problems(reading, "builders-reading") == []
    assert (reading["source"], reading["count"]) == ("ssh_builders", 3)
    hosts = {host.name: host.vars for host in inventory.groups["builders"].get_hosts()}
    assert sorted(hosts) == ["rack1-a", "rack1-b", "rack1-c"]
    for variables in hosts.values():
        assert contract_problems(variables, "builder-facts") == []
    assert hosts["rack1-b"]["builder_max_jobs"] == 4
    assert hosts["rack1-a"]["ansible_host"] == "192.0.2.10"
    assert hosts["rack1-a"]["builder_known_hosts_line"] == f"192.0.2.10 {KEY}"
    assert hosts["rack1-c"]["builder_unavailable_reason"] == "the inventory does not say its address, host_key"
    assert [host.name for host in inventory.groups["has_big_parallel"].get_hosts()] == ["rack1-b"]
    plan = machines_plan(list(hosts.values()), "/key")
    assert plan["included"] == ["rack1-a", "rack1-b"]


def test_tags_that_were_given_drain_and_retire(tmp_path: Path) -> None:
    tags = {"rack1-a": ["skip-hydra", "drained-by=alice"], "rack1-b": ["retired"], "gone": ["x"]}
    hosts = parse(tmp_path, tags=tags).hosts
    assert hosts["rack1-a"].vars["builder_draining"]
    assert hosts["rack1-b"].vars["builder_state"] == "inactive"
    assert hosts["rack1-b"].vars["builder_tags"] == ["hydra", "retired"]
    assert "out of service" in hosts["rack1-b"].vars["builder_unavailable_reason"]
    assert "gone" not in hosts
    assert parse(tmp_path, tags=tags, skip_tags=["no-builds"]).hosts["rack1-a"].vars["builder_draining"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags_file": "/nonexistent/ci.json"}, "No such file.*tasks_from set to setup"),
        ({"tags_file": None, "tags_command": ["false"]}, "ended with 1.*tasks_from set to setup"),
        ({"tags_file": None, "tags_command": ["printf", ""]}, "not known which machines drain"),
        ({"tags_file": None, "tags_command": ["/nonexistent/ssh"]}, "No such file"),
        ({"tags_file": None, "tags_command": ["sleep", "60"], "tags_timeout": 0.2}, "timed out"),
        ({"tags_file": None}, "one of tags_file and tags_command"),
        ({"fleet": "Not A Fleet"}, "no name of a fleet"),
        ({"machines": {"a": {"adress": "192.0.2.1"}}}, "machine a: adress is not known"),
        ({"machines": {"a": {"address": "-oProxyCommand=x"}}}, "machine a: builder_address is"),
        ({"machines": {"a": {"max_jobs": "many"}}}, "machine a: builder_max_jobs must be"),
        ({"machines": {"a": "192.0.2.1"}}, "machine a: it must be a mapping"),
        ({"machines": {"a": {"tags": "hydra"}}}, "machine a: builder_tags must be a list"),
    ],
)
def test_what_is_not_known_is_no_reading(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    inventory = InventoryData()
    with pytest.raises(AnsibleError, match=f"(?s){words}"):
        parse(tmp_path, inventory, **options)
    assert inventory.groups["all"].vars["builders_reading"] is None
    assert "builders" not in inventory.groups or inventory.groups["builders"].get_hosts() == []


def test_a_second_source_makes_both_count_for_nothing(tmp_path: Path) -> None:
    inventory = parse(tmp_path)
    with pytest.raises(AnsibleError, match="not the only source of builders"):
        parse(tmp_path, inventory)
    assert inventory.groups["all"].vars["builders_reading"] is None
