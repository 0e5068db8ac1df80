# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What real OpenSSH makes of the file by which it notices machines that are gone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.machines import machines_plan


def keepalive(path: Path, address: str) -> str:
    told = subprocess.run(
        ["ssh", "-F", str(path), "-G", f"build@{address}"], check=True, capture_output=True, text=True
    ).stdout
    found = dict(line.split(" ", 1) for line in told.splitlines() if line.startswith("serveralive"))
    return f"{found['serveraliveinterval']} x {found['serveralivecountmax']}"


def test_the_machines_of_the_file_and_no_others_are_looked_after(builder: Any, tmp_path: Path) -> None:
    path = tmp_path / "nixmetal.conf"
    builders = [builder(), builder(builder_id="two", builder_address="2001:db8::7"), builder(builder_id="gone")]
    builders[2].update(builder_address="192.0.2.9", builder_draining=True)
    path.write_text(machines_plan(builders, "/key")["ssh_config"], encoding="utf-8")
    assert keepalive(path, builders[0]["builder_address"]) == "15 x 4"
    assert keepalive(path, "2001:db8::7") == "15 x 4"
    assert keepalive(path, "192.0.2.9") == "0 x 3"
    assert keepalive(path, "203.0.113.200") == "0 x 3"


def test_no_machine_says_nothing_of_any(builder: Any, tmp_path: Path) -> None:
    path = tmp_path / "nixmetal.conf"
    path.write_text(machines_plan([builder(builder_draining=True)], "/key")["ssh_config"], encoding="utf-8")
    assert keepalive(path, builder()["builder_address"]) == "0 x 3"
