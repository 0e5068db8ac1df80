# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stage lint: every linter and type checker, each one a test; they run beside each other and report in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import nix_syntax
import plugin_docs
import scenario_roles
import tarball
from commands import CACHE, CHECKOUT, TOOLS, capture, environment, project_files
from outcome import Outcome

PLUGINS = "ansible_collections.nixmetal.builders.plugins"

Check = Callable[[], tuple[int, str]]


def lint() -> Outcome:
    """Runs them all and shows the output of those that found something."""
    outcome = Outcome("lint")
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = [(name, pool.submit(_timed, check)) for name, check in _checks()]
        for name, future in running:
            code, output, seconds = future.result()
            verdict = {0: "ok", nix_syntax.NOT_CHECKED: "NOT CHECKED"}.get(code, "FAILED")
            print(f"{name:<24} {seconds:>6.1f} s  {verdict}", flush=True)
            if code:
                print(output.rstrip())
            if code == 0:
                outcome.passed += 1
            elif code == nix_syntax.NOT_CHECKED:
                outcome.skipped += 1
            else:
                outcome.add_failure(name)
    return outcome


def _timed(check: Check) -> tuple[int, str, float]:
    begin = time.monotonic()
    code, output = check()
    return code, output, time.monotonic() - begin


def _checks() -> list[tuple[str, Check]]:
    commands = {
        "ansible-lint": ["ansible-lint", "--offline", "--profile", "production"],
        "mypy plugins": ["mypy", "-p", PLUGINS],
        # The oldest Python that mypy knows is 3.10; the linter's target version holds these files to 3.9's syntax.
        "mypy managed hosts": ["mypy", "--python-version", "3.10", *_packages("module_utils", "modules")],
        "mypy programs": ["mypy", *_programs()],
        "ruff format": ["ruff", "format", "--check", "."],
        "ruff check": ["ruff", "check", "."],
        "yamllint": ["yamllint", "-s", "."],
        "antsibull-changelog": ["antsibull-changelog", "lint"],
        "antsibull-docs": [
            "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck",
            "--validate-collection-refs", "self", ".",
        ],
        "docs": ["python", "docs/site/make_site.py"],
        "shellcheck": ["shellcheck", *_shell_files()],
    }  # fmt: skip
    checks: list[tuple[str, Check]] = [(name, _tool(command)) for name, command in commands.items()]
    return [
        *checks,
        ("ansible-doc", plugin_docs.check),
        ("molecule's scenarios", scenario_roles.check),
        ("tarball", tarball.check),
        ("nix-instantiate --parse", nix_syntax.check),
    ]


def _tool(command: list[str]) -> Check:
    env = environment(home=CACHE / "home", NO_COLOR="1", ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / ".collections"))
    return lambda: capture([str(TOOLS / command[0]), *command[1:]], env)


def _packages(*names: str) -> list[str]:
    return [part for name in names for part in ("-p", f"{PLUGINS}.{name}")]


def _programs() -> list[str]:
    """What is typed beside the plugins: the lab's emulator and driver, the simulator, and these stages."""
    return [
        name
        for name in ("docs/site", "extensions/lab", "roles/lab/files", "tests/simulation", "tests/stages")
        if any((CHECKOUT / name).rglob("*.py"))
    ]


def _shell_files() -> list[str]:
    return [name for name in project_files() if (CHECKOUT / name).is_file() and _is_shell(name)]


def _is_shell(name: str) -> bool:
    if name.endswith((".sh", ".j2")):
        return name.endswith(".sh")
    with (CHECKOUT / name).open("rb") as file:
        first_line = file.readline(64)
    return first_line.startswith(b"#!") and first_line.split(b"/")[-1].split()[-1] in (b"sh", b"bash", b"dash")
