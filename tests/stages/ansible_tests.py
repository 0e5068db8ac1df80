# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stages sanity and integration: ansible-test in a virtual environment of its own, over a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

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


def sanity() -> Outcome:
    """Every sanity test on the Python of the virtual environment; no ignore file."""
    # Other Pythons are counted as skipped, one line each: managed hosts' oldest is the linters' target version.
    outcome = Outcome("sanity")
    code, output = _ansible_test("sanity", "--venv")
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
            add(outcome, suite, _integration(str(nix_root.on_path(root)), *NIX_TARGETS))
    return outcome


def add(outcome: Outcome, suite: str, other: Outcome) -> None:
    """What a second run with the Nix of another release came to."""
    outcome.passed += other.passed
    for name in other.failures or ([] if other.good else ["nothing ran"]):
        outcome.add_failure(f"{name} (Nix of {suite})")


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


def _ansible_test(command: str, *options: str, before: str = "") -> tuple[int, str]:
    _provide_get_pip()
    copy = tree.refresh()
    with tempfile.TemporaryDirectory(prefix="nixmetal-tools-") as folder:
        # ansible-test cannot start its own helpers by a path with spaces. This one has none, wherever the checkout is.
        tools = Path(folder) / "venv"
        tools.symlink_to(TOOLS.parent)
        program = [str(tools / "bin" / "python"), str(tools / "bin" / "ansible-test")]
        arguments = [*program, command, "--python", "default", "--color", "no", *options]
        env = environment(home=HOME)
        path = os.pathsep.join(filter(None, [f"{tools}/bin", before, env["PATH"]]))
        return follow(arguments, env | {"PATH": path}, copy)


def _provide_get_pip() -> None:
    """Puts the stub where ansible-test looks for a get-pip of the version that it wants."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in _pip_versions():
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")


def _pip_versions() -> set[str]:
    import ansible_test

    source = Path(next(iter(ansible_test.__path__))) / "_internal" / "python_requirements.py"
    return set(re.findall(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8")))
