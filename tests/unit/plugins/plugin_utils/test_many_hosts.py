# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quick way into the inventory sets the same variables as the slow one, and shares nothing that could be changed."""

from __future__ import annotations

import gc

import pytest
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.nixmetal.builders.plugins.plugin_utils import many_hosts


class Inventory(InventoryData):
    """Remembers what took Ansible's own way."""

    def __init__(self):
        super().__init__()
        self.add_group("builders")
        self.slow = []

    def set_variable(self, entity, varname, value):
        self.slow.append(varname)
        super().set_variable(entity, varname, value)


def test_what_could_be_changed_or_be_a_template_takes_ansibles_own_way():
    inventory = Inventory()
    plain = {"builder_id": "m1", "jobs": 2, "speed": 1.5, "spot": True, "key": None, "hostname": "{{ 1 + 1 }}"}
    others = {"tags": ["a"], "request": {"id": "r"}, "user": trust_as_template("{{ name }}")}
    many_hosts.add_host(inventory, {**plain, **others})
    set_by_us = {
        name: value for name, value in inventory.get_host("m1").vars.items() if not name.startswith("inventory_")
    }
    assert set_by_us == {**plain, **others}
    assert [name for name in inventory.slow if not name.startswith("inventory_")] == list(others)
    assert inventory.get_groups_dict()["builders"] == ["m1"]


def test_what_is_plain_is_no_template_for_ansible():
    manager = InventoryManager(loader=DataLoader(), sources=[])
    manager.add_group("builders")
    many_hosts.add_host(manager._inventory, {"builder_id": "m1", "hostname": "{{ 1 + 1 }}"})
    host = manager.get_host("m1")
    assert Templar(variables=host.vars).template(host.vars["hostname"]) == "{{ 1 + 1 }}"


def fail_uncollected():
    with many_hosts.uncollected():
        assert not gc.isenabled()
        raise ValueError("no answer")


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collection_is_as_it_was_also_after_a_failure(collecting):
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with pytest.raises(ValueError, match="no answer"):
            fail_uncollected()
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()
