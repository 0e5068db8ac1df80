# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A coordinator on this machine that writes below one directory, as a user who owns nothing else."""

from __future__ import annotations

import getpass
import grp
import os
import sys
from pathlib import Path
from typing import Any


def hosts(root: Path) -> dict[str, Any]:
    """The inventory that holds it."""
    coordinator = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "nix_machines_file": str(root / "machines"),
        "nix_machines_known_hosts_file": str(root / "known_hosts"),
        "nix_machines_memory_file": str(root / "memory" / "machines.json"),
        "nix_machines_ssh_key": str(root / "key"),
        "nix_machines_owner": getpass.getuser(),
        "nix_machines_group": grp.getgrgid(os.getgid()).gr_name,
        "nix_machines_validate": False,
    }
    return {"all": {"children": {"nix_coordinators": {"hosts": {"coordinator": coordinator}}}}}
