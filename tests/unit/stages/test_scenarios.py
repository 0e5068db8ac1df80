# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which roles molecule's scenarios converge, and what the check of make lint complains of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tests" / "stages"))

import scenario_roles  # noqa: E402  (found by the line above)
import scenarios  # noqa: E402

STEPS = ["prepare", "check", "converge", "idempotence", "verify"]
CONVERGE = """
- ansible.builtin.import_playbook: ../shared/remember.yml
- ansible.builtin.import_playbook: ../../../playbooks/launch.yml
- hosts: all
  tasks:
    - ansible.builtin.include_tasks: tasks/more.yml
- ansible.builtin.import_playbook: ../shared/compare.yml
"""
FILES = {
    "playbooks/launch.yml": "- {hosts: all, roles: [{role: nixmetal.builders.fleet}]}",
    "roles/fleet/tasks/main.yml": """
- block:
    - ansible.builtin.import_tasks: ask.yml
""",
    "roles/fleet/tasks/ask.yml": """
- ansible.builtin.include_role: {name: "nixmetal.builders.{{ provider }}", tasks_from: offers}
""",
    "roles/fleet/tasks/unused.yml": "- ansible.builtin.include_role: {name: nixmetal.builders.forgotten}",
    "roles/ssh_host/tasks/offers.yml": "- ansible.builtin.include_role: {name: nixmetal.builders.lock, tasks_from: take}",
    "roles/equinix_metal/tasks/offers.yml": "[]",
    "roles/lock/tasks/take.yml": "[]",
    "roles/forgotten/tasks/main.yml": "[]",
    "roles/told/tasks/main.yml": "[]",
    "extensions/molecule/shared/remember.yml": "[]",
    "extensions/molecule/launch/tasks/more.yml": "- ansible.builtin.import_role: {name: nixmetal.builders.told}",
    "extensions/molecule/launch/inventory/own.yml": "plugin: nixmetal.builders.ssh_builders\n",
    "extensions/molecule/launch/converge.yml": CONVERGE,
    "extensions/molecule/launch/molecule.yml": f"scenario: {{test_sequence: [{', '.join(STEPS)}]}}",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path, name, text)
    return tmp_path


def write(tree: Path, name: str, text: str) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text, encoding="utf-8")


def test_roles_are_found_through_playbooks_task_files_and_the_inventorys_provider(tree: Path) -> None:
    reached = [role for role, by in scenario_roles.by_role(tree).items() if by == ["launch"]]
    assert reached == ["fleet", "lock", "ssh_host", "told"]


def test_a_role_that_nothing_converges_is_told(tree: Path) -> None:
    code, text = scenario_roles.check(tree)
    assert code == 1
    assert text.splitlines() == [
        f"no scenario of extensions/molecule converges the role {role}" for role in ("equinix_metal", "forgotten")
    ]


@pytest.mark.parametrize("missing", ["check", "idempotence", "verify"])
def test_a_scenario_without_a_step_is_told(tree: Path, missing: str) -> None:
    steps = ", ".join(step for step in STEPS if step != missing)
    write(tree, "extensions/molecule/launch/molecule.yml", f"scenario: {{test_sequence: [{steps}]}}")
    assert "launch: its test_sequence needs check, converge, idempotence, verify" in scenario_roles.check(tree)[1]


def test_check_mode_after_the_first_converge_is_told(tree: Path) -> None:
    write(tree, "extensions/molecule/launch/molecule.yml", "scenario: {test_sequence: [converge, check, idempotence, verify]}")  # fmt: skip
    assert "launch: its test_sequence" in scenario_roles.check(tree)[1]


@pytest.mark.parametrize("play", ["remember", "compare"])
def test_check_mode_that_nobody_compares_is_told(tree: Path, play: str) -> None:
    text = CONVERGE.replace(f"- ansible.builtin.import_playbook: ../shared/{play}.yml\n", "")
    write(tree, "extensions/molecule/launch/converge.yml", text)
    assert "launch: converge.yml must begin with ../shared/remember.yml" in scenario_roles.check(tree)[1]


def test_nothing_is_missing_here() -> None:
    assert scenario_roles.check() == (0, "")


def test_a_role_counts_as_run_by_the_tasks_that_ansible_tells() -> None:
    output = (
        "TASK [nixmetal.builders.fleet_lock : Take it]\n  | TASK [nixmetal.builders.ssh_host : Tag] ***\nTASK [Wait]\n"
    )
    ran = scenarios.roles_in(output)
    assert ran == {"fleet_lock", "ssh_host"}
    left = scenarios.not_run(ran, ["builder_drain"])
    assert "nix_machines" in left
    assert "ssh_host" not in left
    assert "netboot_server" not in left


def test_a_long_scenario_is_played_by_name_or_with_all() -> None:
    assert set(scenarios.LONG) <= set(scenarios.names())
    assert set(scenarios.chosen_of("", False)) == set(scenarios.names()) - set(scenarios.LONG)
    assert scenarios.chosen_of("", True) == scenarios.names()
    assert scenarios.chosen_of("lab", False) == ["lab"]
    assert scenarios.chosen_of("nothing", False) == []
