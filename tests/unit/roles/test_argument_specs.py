# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each role's argument specs and its defaults tell the same, and each role has a README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = {path.name: path for path in sorted((CHECKOUT / "roles").iterdir())}


def loaded(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def entries(role: str) -> dict[str, dict[str, Any]]:
    specs: dict[str, dict[str, Any]] = loaded(ROLES[role] / "meta" / "argument_specs.yml")["argument_specs"]
    return specs


def defaults(role: str) -> dict[str, Any]:
    return loaded(ROLES[role] / "defaults" / "main.yml")


def options(role: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for entry, spec in entries(role).items():
        for name, option in (spec.get("options") or {}).items():
            yield entry, name, option


@pytest.mark.parametrize("role", ROLES)
def test_each_default_is_an_argument(role: str) -> None:
    assert set(defaults(role)) - {name for _entry, name, _option in options(role)} == set()


@pytest.mark.parametrize("role", ROLES)
def test_each_argument_has_a_default_or_is_required(role: str) -> None:
    """But for those of another role, which has their default."""
    own = re.compile(f"{role}_")
    without = {
        name
        for _entry, name, option in options(role)
        if own.match(name) and name not in defaults(role) and not option.get("required")
    }
    assert without == set()


@pytest.mark.parametrize("role", ROLES)
def test_no_argument_tells_another_default(role: str) -> None:
    """Defaults that are computed are told in words."""
    given = defaults(role)
    other = [
        f"{entry}: {name} is {given[name]!r}, and said to be {option['default']!r}"
        for entry, name, option in options(role)
        if name in given and "default" in option and option["default"] != given[name]
    ]
    assert other == []


@pytest.mark.parametrize("role", ROLES)
def test_each_argument_is_described(role: str) -> None:
    lacking = [
        f"{entry}: {name}"
        for entry, name, option in options(role)
        if not option.get("description")
        or not option.get("type")
        or (option["type"] == "list" and not option.get("elements"))
    ]
    assert lacking == []
    assert [entry for entry, spec in entries(role).items() if not spec.get("short_description")] == []


@pytest.mark.parametrize("role", ROLES)
def test_each_entry_point_is_a_task_file(role: str) -> None:
    assert [entry for entry in entries(role) if not (ROLES[role] / "tasks" / f"{entry}.yml").exists()] == []


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_readme(role: str) -> None:
    text = (ROLES[role] / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {role}\n")
    assert len(text.splitlines()) > 5
