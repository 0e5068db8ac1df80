# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stages sanity and integration: ansible-test in a virtual environment of its own, over a copy of the project."""

from __future__ import annotations

import re
from pathlib import Path

import tree
from commands import CACHE, TOOLS, environment
from follow import follow
from outcome import Outcome

HOME = CACHE / "home"

GET_PIP = '''"""Stands in for get-pip: ansible-test would download it. Written by tests/stages."""

import subprocess
import sys

sys.exit(subprocess.call([sys.executable, "-I", "-m", "ensurepip", "--default-pip"]))
'''


def sanity() -> Outcome:
    """Every sanity test on the Python of the virtual environment; no ignore file."""
    outcome = Outcome("sanity")
    code, output = _ansible_test("sanity")
    started = re.findall(r"Running sanity test \"([\w-]+)\"", output)
    listed = re.findall(
        r"^(?:FATAL|ERROR): The \d+ sanity test\(s\) listed below.*?:\n((?:.+\n?)+)", output, re.MULTILINE
    )
    failures = sorted({line.strip() for block in listed for line in block.splitlines() if line.strip()})
    for name in failures:
        outcome.add_failure(name)
    outcome.skipped = len(re.findall(r"^WARNING: Skipping sanity test", output, re.MULTILINE))
    outcome.passed = max(len(set(started)) - outcome.failed - outcome.skipped, 0)
    return _judge(outcome, code, "ansible-test sanity")


def integration() -> Outcome:
    """Every target under tests/integration/targets, each run as a playbook on the localhost."""
    outcome = Outcome("integration")
    code, output = _ansible_test("integration", "--continue-on-error")
    started = set(re.findall(r"^Running (?!sanity)([\w-]+) integration test role", output, re.MULTILINE))
    failed = set(re.findall(r"^(?:FATAL|ERROR): .*?[Tt]arget \"?([\w-]+)\"? failed", output, re.MULTILINE)) & started
    for name in sorted(failed):
        outcome.add_failure(name)
    outcome.passed = len(started - failed)
    return _judge(outcome, code, "ansible-test integration")


def _judge(outcome: Outcome, code: int, what: str) -> Outcome:
    if code != 0 and not outcome.failed:
        outcome.add_failure(f"{what} ended with exit code {code}")
    return outcome


def _ansible_test(command: str, *options: str) -> tuple[int, str]:
    _provide_get_pip()
    copy = tree.refresh()
    arguments = [str(TOOLS / "ansible-test"), command, "--venv", "--python", "default", "--color", "no", *options]
    return follow(arguments, environment(home=HOME), copy)


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
