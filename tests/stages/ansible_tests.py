# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stages sanity and integration: ansible-test in a virtual environment of its own, over a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import ansible_versions
import nix_root
import tree
from commands import CACHE, TOOLS, environment
from follow import follow
from outcome import Outcome

HOME = CACHE / "home"
SANITY_STARTED = r"^Running sanity test (.+)$"
NIX_TARGETS = ("nix_build", "nix_copy", "nix_store_info")
INTEGRATION_STARTED = r"^Running ([\w-]+) integration test (?:role|script)"

GET_PIP = '''"""Stands in for get-pip: ansible-test would download it. Written by tests/stages."""

import subprocess
import sys

sys.exit(subprocess.call([sys.executable, "-I", "-m", "ensurepip", "--default-pip"]))
'''


def sanity(long: bool) -> Outcome:
    """Every sanity test, with no ignore file; with long, by the oldest and the newest ansible-core and Python that can be had too."""
    outcome = _sanity(TOOLS)
    for name, tools in ansible_versions.environments() if long else ():
        if tools is None:
            print(f"*** sanity is NOT checked by the {name} ansible-core: its Python is not here ***", file=sys.stderr)
            outcome.skipped += 1
        else:
            add(outcome, f"{name} ansible-core", _sanity(tools))
    return outcome


def _sanity(tools: Path) -> Outcome:
    # Other Pythons are counted as skipped, one line each: managed hosts' oldest is the linters' target version.
    outcome = Outcome("sanity")
    code, output = _ansible_test("sanity", "--venv", tools=tools)
    outcome.skipped = len(set(re.findall(r"^WARNING: Skipping sanity test .*$", output, re.MULTILINE)))
    return count(outcome, code, output, SANITY_STARTED)


def integration(long: bool) -> Outcome:
    """Every target under tests/integration/targets, each run as a playbook on the localhost; with long, Nix's by newer versions too."""
    outcome = _integration(_nix())
    for suite in (nix_root.NEWER, nix_root.NEWEST) if long else ():
        root = nix_root.provide(suite)
        if root is None:
            outcome.add_failure(f"there is no Nix of {suite} to run the targets of Nix with")
        else:
            add(outcome, f"Nix of {suite}", _integration(str(nix_root.on_path(root)), *NIX_TARGETS))
    return outcome


def measured_integration(*targets: str) -> Outcome:
    """The targets once more, with a file of coverage for each process below the copy's tests/output."""
    return _integration(_nix(), *targets, "--coverage")


def add(outcome: Outcome, program: str, other: Outcome) -> None:
    """What a second run with another version of a program came to."""
    outcome.passed += other.passed
    for name in other.failures or ([] if other.good else ["nothing ran"]):
        outcome.add_failure(f"{name} ({program})")


def _integration(before: str, *targets: str) -> Outcome:
    code, output = _ansible_test("integration", *targets, "--local", "--continue-on-error", before=before)
    return count(Outcome("integration"), code, output, INTEGRATION_STARTED)


def count(outcome: Outcome, code: int, output: str, started: str) -> Outcome:
    """Reads what ran, and the list of failures with which ansible-test ends."""
    for block in re.findall(r"listed below \(out of \d+\) failed\..*\n((?:(?!FATAL|ERROR|WARNING).+\n)+)", output):
        for name in block.splitlines():
            outcome.add_failure(name)
    outcome.passed = max(len(set(re.findall(started, output, re.MULTILINE))) - outcome.failed, 0)
    if code != 0 and not outcome.failed:
        outcome.add_failure(f"ansible-test {outcome.stage} ended with exit code {code}")
    return outcome


def _nix() -> str:
    """A folder with Nix's programs, where the machine has none; ansible-test hands PATH on, and no variable of ours."""
    root = None if shutil.which("nix-store") else nix_root.provide()
    return str(nix_root.on_path(root)) if root else ""


def _ansible_test(command: str, *options: str, before: str = "", tools: Path = TOOLS) -> tuple[int, str]:
    _provide_get_pip(tools)
    copy = tree.refresh()
    with tempfile.TemporaryDirectory(prefix="nixmetal-tools-") as folder:
        # ansible-test cannot start its own helpers by a path with spaces. This one has none, wherever the checkout is.
        link = Path(folder) / "venv"
        link.symlink_to(tools.parent)
        program = [str(link / "bin" / "python"), str(link / "bin" / "ansible-test")]
        arguments = [*program, command, "--python", "default", "--color", "no", *options]
        env = environment(home=HOME)
        path = os.pathsep.join(filter(None, [f"{link}/bin", before, env["PATH"]]))
        return follow(arguments, env | {"PATH": path}, copy)


def _provide_get_pip(tools: Path) -> None:
    """Puts the stub where ansible-test looks for a get-pip of the version that it wants."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in _pip_versions(tools):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")


def _pip_versions(tools: Path) -> set[str]:
    """Those that the ansible-test beside these tools names in its source."""
    (source,) = tools.parent.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py")
    return set(re.findall(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8")))
