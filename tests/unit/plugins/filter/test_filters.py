# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every filter has its documentation beside it, its example runs, and its errors are Ansible's."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

ROOT = Path(__file__).resolve().parents[4]
PACKAGE = "ansible_collections.nixmetal.builders.plugins.filter"
MODULES = [importlib.import_module(f"{PACKAGE}.{path.stem}") for path in (ROOT / "plugins" / "filter").glob("*.py")]
# Whose examples stand alone. Those of the others need an inventory, and their roles' tests run them.
ALONE = {"contracts", "machines", "reclaim", "spot", "store_summaries"}
FILTERS = {name: function for module in MODULES for name, function in module.FilterModule().filters().items()}


def documentation(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "plugins" / "filter" / f"{name}.yml").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_documentation_stands_beside_it(name: str) -> None:
    assert documentation(name)["DOCUMENTATION"]["name"] == name


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_examples_are_tasks(name: str) -> None:
    tasks = yaml.safe_load(documentation(name)["EXAMPLES"])
    assert [task for task in tasks if name in yaml.safe_dump(task)] == tasks


def test_examples_run_as_they_stand(tmp_path: Path) -> None:
    names = [
        name
        for module in MODULES
        if module.__name__.rpartition(".")[2] in ALONE
        for name in module.FilterModule().filters()
    ]
    tasks = [task for name in sorted(names) for task in yaml.safe_load(documentation(name)["EXAMPLES"])]
    reading = {"complete": True, "source": "test", "project": None, "count": 0, "read_at": "2026-11-23T04:00:00Z"}
    play = {"hosts": "localhost", "gather_facts": False, "vars": {"builders_reading": reading}, "tasks": tasks}
    playbook = tmp_path / "examples.yml"
    playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "elsewhere,", str(playbook)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"ok={len(tasks)} " in result.stdout


def test_no_documentation_of_a_filter_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "plugins" / "filter").glob("*.yml")} == set(FILTERS)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("nix_machines_plan", ([], "/key", "gopher")),
        ("nix_machines_parse", ("", "perl")),
        ("nix_machines_parse", ("host - - two",)),
        ("contract_problems", ({}, "nothing")),
    ],
)
def test_error_is_one_of_ansible(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(AnsibleFilterError):
        FILTERS[name](*arguments)


def test_parse_returns_plain_values() -> None:
    (machine,) = FILTERS["nix_machines_parse"]("b@h s,a /k 2 1 kvm - -", "hydra")
    assert machine["ssh_name"] == "b@h"
    assert machine["systems"] == ["a", "s"]
