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


def run(root: Path, *plays: dict[str, Any], limit: str = "all") -> subprocess.CompletedProcess[str]:
    inventory = root / "hosts.sh"
    inventory.write_text(
        f"""#!/bin/sh
hosts=$(sed 's/.*/"&"/' {root}/names | paste -sd, -)
c3=$(sed '/three/d;s/.*/"&"/' {root}/names | paste -sd, -)
echo "{{\\"builders\\": {{\\"hosts\\": [$hosts]}}, \\"plan_c3\\": {{\\"hosts\\": [$c3]}}, \\"_meta\\": {{\\"hostvars\\": {{}}}}}}"
""",
        encoding="utf-8",
    )
    inventory.chmod(0o755)
    (root / "names").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (root / "play.yml").write_text(yaml.safe_dump(list(plays)), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(root / "play.yml"), "-l", limit]
    return subprocess.run(
        [*command, "-e", "ansible_connection=local", "-e", f"ansible_python_interpreter={sys.executable}"],
        capture_output=True,
        text=True,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        check=False,
    )


@pytest.mark.parametrize(
    ("limit", "chosen"),
    [
        ("all", ["one", "two", "three"]),
        ("two:three", ["two", "three"]),
        ("all:!one", ["two", "three"]),
        ("plan_c3,t?re*", ["one", "two", "three"]),
    ],
)
def test_the_play_outlives_its_machines_and_knows_which_were_meant(
    tmp_path: Path, limit: str, chosen: list[str]
) -> None:
    done = run(tmp_path, CHOOSE, work("builders_reading_seat", tmp_path), limit=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "seen").read_text(encoding="utf-8")) == [chosen, []]
    assert (tmp_path / "always").exists()


@pytest.mark.parametrize("limit", ["plan_c3", "builders:!two", "all:&plan_c3", "b*"])
def test_a_limit_by_groups_is_refused_before_anything_is_done(tmp_path: Path, limit: str) -> None:
    """Ansible looks at the groups again when the inventory was read anew, and a machine that is gone is in none."""
    refused = run(tmp_path, CHOOSE, work("builders_reading_seat", tmp_path), limit=limit)
    words = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode != 0, words
    assert f"--limit {limit} names no machine by its own name" in words
    assert "--limit one" in words
    assert (tmp_path / "names").read_text(encoding="utf-8") == "one\ntwo\nthree\n"


def test_without_a_seat_the_play_ends_without_a_word(tmp_path: Path) -> None:
    """What the seat is for. When Ansible goes on by itself some day, it can go."""
    done = run(tmp_path, work("builders", tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "seen").exists()
    assert not (tmp_path / "always").exists()
