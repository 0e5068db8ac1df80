# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads one inventory source as each Ansible command does before anything else, and tells what it took, as JSON.

python load.py SOURCE
"""

from __future__ import annotations

import json
import resource
import sys
import time


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def load(source: str) -> dict[str, float]:
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    begun, used = time.monotonic(), cpu()
    inventory = InventoryManager(loader=DataLoader(), sources=[source])
    return {
        "hosts": len(inventory.hosts),
        "wall_s": round(time.monotonic() - begun, 2),
        "cpu_s": round(cpu() - used, 2),
        "whole_cpu_s": round(cpu(), 2),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    print(json.dumps(load(sys.argv[1])))
