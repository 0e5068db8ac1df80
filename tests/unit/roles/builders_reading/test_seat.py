# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play over machines that are gone before it ends goes on to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHOOSE: dict[str, Any] = {
    "hosts": "builders",
    "gather_facts": False,
    "run_once": True,
    "tasks": [
        {"ansible.builtin.include_role": {"name": "nixmetal.builders.builders_reading", "tasks_from": "seat"}},
    ],
}


def work(hosts: str, root: Path) -> dict[str, Any]:
    """A play in which every machine leaves the inventory."""
    return {
        "hosts": hosts,
        "gather_facts": False,
        "run_once": True,
        "tasks": [
            {
                "block": [
                    {"ansible.builtin.copy": {"content": "", "dest": f"{root}/names"}, "delegate_to": "localhost"},
                    {"ansible.builtin.meta": "refresh_inventory"},
                    {
                        "ansible.builtin.copy": {
                            "content": "{{ [builders_reading_chosen | default([]), groups['builders'] | default([])] | to_json }}",
                            "dest": f"{root}/seen",
                        },
                        "delegate_to": "localhost",
                    },
                ],
                "always": [
                    {"ansible.builtin.copy": {"content": "", "dest": f"{root}/always"}, "delegate_to": "localhost"}
                ],
            }
        ],
    }


def run(root: Path, *plays: dict[str, Any], limit: str = "all") -> None:
    inventory = root / "hosts.sh"
    inventory.write_text(
        f"""#!/bin/sh
hosts=$(sed 's/.*/"&"/' {root}/names | paste -sd, -)
echo "{{\\"builders\\": {{\\"hosts\\": [$hosts]}}, \\"_meta\\": {{\\"hostvars\\": {{}}}}}}"
""",
        encoding="utf-8",
    )
    inventory.chmod(0o755)
    (root / "names").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (root / "play.yml").write_text(yaml.safe_dump(list(plays)), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(root / "play.yml"), "-l", limit]
    done = subprocess.run(
        [*command, "-e", "ansible_connection=local", "-e", f"ansible_python_interpreter={sys.executable}"],
        capture_output=True,
        text=True,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("limit", "chosen"), [("all", ["one", "two", "three"]), ("two:three", ["two", "three"])])
def test_the_play_outlives_its_machines_and_knows_which_were_meant(
    tmp_path: Path, limit: str, chosen: list[str]
) -> None:
    run(tmp_path, CHOOSE, work("builders_reading_seat", tmp_path), limit=limit)
    assert json.loads((tmp_path / "seen").read_text(encoding="utf-8")) == [chosen, []]
    assert (tmp_path / "always").exists()


def test_without_a_seat_the_play_ends_without_a_word(tmp_path: Path) -> None:
    """What the seat is for. When Ansible goes on by itself some day, it can go."""
    run(tmp_path, work("builders", tmp_path))
    assert not (tmp_path / "seen").exists()
    assert not (tmp_path / "always").exists()
