# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes an inventory of thousands of hosts quick."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.inventory.data import InventoryData

from ansible_collections.nixmetal.builders.plugins.plugin_utils.one_reading import GROUP

# Never changed in place, and never templates: a plain string carries no trust, as a tagged one could.
PLAIN = frozenset({str, int, float, bool, type(None)})


def add_host(inventory: InventoryData, variables: Mapping[str, Any]) -> None:
    """A builder and its variables.

    What a plugin sets through the inventory is copied and tagged with the source. To do that to the plain values too, which are
    most of them, takes longer than to read the machines and compose their facts.
    """
    name = variables["builder_id"]
    host = inventory.hosts[inventory.add_host(name, group=GROUP)]
    for variable, value in variables.items():
        if type(value) in PLAIN:
            host.set_variable(variable, value)
        else:
            inventory.set_variable(name, variable, value)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without the search for cycles, which answers in JSON have none of: it would look through all of them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
