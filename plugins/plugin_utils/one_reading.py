# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each inventory plugin that finds builders does first."""

from __future__ import annotations

from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData

GROUP = "builders"
READING = "builders_reading"


def announce_alone(inventory: InventoryData, plugin: str, path: str) -> None:
    """Leave a trace that a failure does not wipe out; where there is one already, no reading counts."""
    everyone, group = inventory.groups["all"], inventory.groups.get(GROUP)
    second = READING in everyone.vars or (group is not None and group.get_hosts())
    inventory.set_variable("all", READING, None)
    if second:
        raise AnsibleParserError(
            f"{plugin}: {path} is not the only source of builders: builders_reading was set, or the group {GROUP} had hosts, "
            "before it was read. One reading cannot answer for two sources, so none counts: use an inventory for each."
        )
