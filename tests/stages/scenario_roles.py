# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which roles molecule's scenarios converge, read out of the scenarios, and what a scenario lacks.

python tests/stages/scenario_roles.py shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from commands import CHECKOUT

PREFIX = "nixmetal.builders."
# check_mode before anything is there, and converge once more after it.
STEPS = ("check", "converge", "idempotence", "verify")
FIRST, LAST = "../shared/remember.yml", "../shared/compare.yml"
# The provider of the machines that an inventory plugin lists.
PROVIDERS = {"metal_builders": "equinix_metal", "ssh_builders": "ssh_host"}


@dataclass
class Scenario:
    """What one scenario is made of, below the collection's tree."""

    folder: Path
    tree: Path
    seen: set[Path] = field(default_factory=set)

    def complaints(self) -> Iterator[str]:
        steps = loaded(self.folder / "molecule.yml")["scenario"]["test_sequence"]
        if [step for step in steps if step in STEPS] != list(STEPS):
            yield f"its test_sequence needs {', '.join(STEPS)}, in this order"
        playbooks = [play.get("ansible.builtin.import_playbook") for play in loaded(self.folder / "converge.yml")]
        if playbooks[:1] != [FIRST] or playbooks[-1:] != [LAST]:
            yield f"converge.yml must begin with {FIRST} and end with {LAST}, which hold check mode to change nothing"

    def roles(self) -> set[str]:
        """Those whose task files converge.yml reaches, through playbooks, other task files and other roles."""
        self.seen.clear()
        self._follow(self.folder / "converge.yml")
        roles = self.tree / "roles"
        return {path.relative_to(roles).parts[0] for path in self.seen if path.is_relative_to(roles)}

    def providers(self) -> set[str]:
        """Whose machines the scenario has: they are meant where a role names its provider by a variable."""
        texts = "\n".join(path.read_text(encoding="utf-8") for path in self._texts())
        plugins = {provider for plugin, provider in PROVIDERS.items() if f"plugin: {PREFIX}{plugin}\n" in texts}
        return plugins | {provider for provider in PROVIDERS.values() if f"provider: {provider}" in texts}

    def _texts(self) -> Iterator[Path]:
        for folder in ("inventory", "templates"):
            yield from (path for path in (self.folder / folder).rglob("*") if path.is_file())

    def _follow(self, file: Path) -> None:
        file = file.resolve()
        if file in self.seen or not file.is_file():
            return
        self.seen.add(file)
        for node in mappings(loaded(file)):
            for reached in (*self._files(file, node), *self._role_files(node)):
                self._follow(reached)

    def _files(self, file: Path, node: dict[str, Any]) -> Iterator[Path]:
        for action in ("import_playbook", "import_tasks", "include_tasks"):
            given = node.get(f"ansible.builtin.{action}")
            name = given.get("file") if isinstance(given, dict) else given
            if name:
                yield from [file.parent / name] if "{{" not in name else file.parent.glob("*.yml")

    def _role_files(self, node: dict[str, Any]) -> Iterator[Path]:
        listed = [item if isinstance(item, dict) else {"role": item} for item in node.get("roles") or []]
        included = [node.get(f"ansible.builtin.{action}") for action in ("include_role", "import_role")]
        for role in (*listed, *filter(None, included)):
            name = str(role.get("role") or role.get("name")).removeprefix(PREFIX)
            for one in self.providers() if "{{" in name else [name]:
                yield from self._entry(self.tree / "roles" / one, role.get("tasks_from", "main"))

    @staticmethod
    def _entry(role: Path, name: str) -> list[Path]:
        files = [*(role / "tasks").glob("*.yml")] if "{{" in name else [role / "tasks" / f"{name}.yml"]
        return [*files, *(role / "handlers").glob("*.yml")]


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a file, however deep."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)


def scenarios(tree: Path = CHECKOUT) -> dict[str, Scenario]:
    found = sorted((tree / "extensions" / "molecule").glob("*/molecule.yml"))
    return {path.parent.name: Scenario(path.parent, tree) for path in found}


def by_role(tree: Path = CHECKOUT) -> dict[str, list[str]]:
    """Each role, with the scenarios that converge it."""
    reached = {name: scenario.roles() for name, scenario in scenarios(tree).items()}
    roles = sorted(path.name for path in (tree / "roles").iterdir())
    return {role: [name for name, found in reached.items() if role in found] for role in roles}


def check(tree: Path = CHECKOUT) -> tuple[int, str]:
    """Exit code 0 when nothing is missing; otherwise a line for each thing that is."""
    found = [f"{name}: {told}" for name, one in scenarios(tree).items() for told in one.complaints()]
    found += [
        f"no scenario of extensions/molecule converges the role {role}" for role, by in by_role(tree).items() if not by
    ]
    return int(bool(found)), "\n".join(found)


if __name__ == "__main__":
    for role, names in by_role().items():
        print(f"{role:<20} {', '.join(names) or '-'}")
