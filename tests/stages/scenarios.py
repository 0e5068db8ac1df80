# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stage molecule: every scenario under extensions/molecule, on the localhost and without containers, one for each core at a time."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nix_root
import scenario_roles
from commands import CHECKOUT, TOOLS, capture, environment
from follow import follow
from outcome import Outcome

Run = Callable[[list[str], dict[str, str], Path], tuple[int, str]]

FOLDER = CHECKOUT / "extensions" / "molecule"
# Played by make check-all and by name, each with its reason.
LONG = {"lab": "it makes a Debian root, which takes a minute, and stage loop starts labs anyway"}
# The others are shorter, and fill what these leave at the end.
FIRST = ("builder_rollout", "fleet_autoscale", "netboot_server", "spot_fleet", "lab")


def molecule(long: bool) -> Outcome:
    """One test for each scenario: check mode, converge, converge again without a change, verify."""
    one = os.environ.get("SCENARIO", "")
    outcome = Outcome("molecule")
    chosen = chosen_of(one, long)
    ran = _play_all(chosen, outcome)
    if not one:
        outcome.skipped = len(names()) - len(chosen)
        for name in set(LONG).difference(chosen):
            print(f"*** {name} is played by make check-all and by make molecule SCENARIO={name}: {LONG[name]} ***")
        for role in not_run(ran, chosen):
            outcome.add_failure(f"no task of the role {role} ran in any scenario")
    return outcome


def _play_all(chosen: list[str], outcome: Outcome) -> set[str]:
    """Returns the roles of which a task ran."""
    ran: set[str] = set()
    # Unpacked once before any needs it; builder_rollout says what it lacks without.
    root = nix_root.provide() if "builder_rollout" in chosen else None
    nix = str(nix_root.on_path(root).with_name(root.name)) if root else ""
    # Molecule keeps its files below HOME. Its own folder there has a short path without spaces, whatever the checkout's is.
    with (
        tempfile.TemporaryDirectory(prefix="nixmetal-molecule-") as folder,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        # One alone is shown as it goes, others each as a whole.
        shown = len(chosen) == 1
        run = follow if shown else capture
        playing = {pool.submit(_play, run, name, Path(folder) / name, nix): name for name in chosen}
        for future in as_completed(playing):
            name = playing[future]
            code, output, seconds = future.result()
            ran |= roles_in(output)
            print(f"--- molecule test {name}\n{'' if shown else output.rstrip()}")
            print(f"--- {name}: {'FAILED' if code else 'passed'} in {seconds:.1f} s", flush=True)
            if code == 0:
                outcome.passed += 1
            else:
                outcome.add_failure(name)
    return ran


def names() -> list[str]:
    """The scenarios that there are, those first that take longest."""
    found = {path.parent.name for path in FOLDER.glob("*/molecule.yml")}
    return [name for name in FIRST if name in found] + sorted(found.difference(FIRST))


def chosen_of(one: str, long: bool) -> list[str]:
    return [name for name in names() if (name == one if one else long or name not in LONG)]


def roles_in(output: str) -> set[str]:
    """The collection's roles of which Ansible's output tells a task, be it one that was skipped."""
    return set(re.findall(r"\bTASK \[nixmetal\.builders\.(\w+) : ", output))


def not_run(ran: set[str], chosen: list[str]) -> list[str]:
    """The roles that one of these scenarios converges, by what is written in it, and of which no task was reached."""
    return [role for role, by in scenario_roles.by_role().items() if role not in ran and set(by).intersection(chosen)]


def _play(run: Run, name: str, home: Path, nix: str) -> tuple[int, str, float]:
    """Each has a HOME of its own, and so a directory, servers and ports of its own."""
    env = environment(
        home=home,
        ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / ".collections"),
        # As in ansible.cfg, which molecule does not read: fewer processes for each task.
        ANSIBLE_PIPELINING="true",
        MOLECULE_GLOB=str(FOLDER / "*" / "molecule.yml"),
        NIXMETAL_SCENARIO_NIX=nix,
        NO_COLOR="1",
    )
    begin = time.monotonic()
    code, output = run([str(TOOLS / "molecule"), "test", "--scenario-name", name], env, CHECKOUT / "extensions")
    return code, output, time.monotonic() - begin
