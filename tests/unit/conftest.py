# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Nix with a store of its own, where there is one.

NIXMETAL_TEST_ROOTS names root file systems with Debian's nix-bin and busybox-static, separated by colons. Their Nix runs by
their own loader, without entering them and as any user. Else a Nix on PATH serves. Without either, these tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix

# How long an example takes, and how long it takes to make one, is a matter of the machine and of what else it does.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
TOLD = "told"
PLAYS = Path(__file__).parent / "roles"
PROGRAMS = ("nix", "nix-store", "nix-instantiate", "nix-copy-closure", "nix-daemon", "build-remote")
TOOLS = ("cpio", "mksquashfs", "unsquashfs")
SETTINGS = {"sandbox": False, "build-users-group": "", "substituters": [], "max-jobs": 2}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole plays first: they take longest, and what is short fills what is left of the workers' time."""
    items.sort(key=lambda item: PLAYS not in item.path.parents)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Has the run end with a line of what a campaign did: its seeds and counts. What a test prints is shown only when it fails."""
    return lambda line: record_property(TOLD, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report for found in terminalreporter.stats.values() for report in found if getattr(report, "when", "") == "call"
    ]
    lines = [str(value) for report in reports for name, value in report.user_properties if name == TOLD]
    if lines:
        terminalreporter.section("seeds and counts of the campaigns")
        terminalreporter.write("".join(f"{line}\n" for line in sorted(lines)))


class RealNix(NamedTuple):
    """Nix, its environment, and a static busybox that builders can use."""

    environment: dict[str, str]
    busybox: str
    settings: dict[str, object]

    def nix(self, **settings: object) -> Nix:
        # Not above: pytest may load this file before Ansible's importer stands.
        from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix

        more = {name.replace("_", "-"): value for name, value in settings.items()}
        return Nix({**SETTINGS, **self.settings, **more}, self.environment)


def roots() -> list[str]:
    return [root for root in os.environ.get("NIXMETAL_TEST_ROOTS", "").split(":") if root]


def wrap(root: Path, programs: Path) -> None:
    """Scripts that run a root's Nix, and of its build tools those that are there."""
    loader = next(root.glob("usr/lib64/ld-linux*"), None) or next(root.glob("lib64/ld-linux*"))
    libraries = ":".join(
        str(path)
        for pattern in ("lib/*-linux-gnu", "usr/lib/*-linux-gnu", "usr/lib/nix")
        for path in root.glob(pattern)
    )
    tools = {tool: path for tool in TOOLS for path in root.glob(f"*/{tool}")} | {
        tool: path for tool in TOOLS for path in root.glob(f"usr/*/{tool}")
    }
    programs.mkdir()
    for program, binary in {**dict.fromkeys(PROGRAMS, root / "usr/bin/nix"), **tools}.items():
        script = programs / program
        script.write_text(
            f'#!/bin/sh\nexec "{loader}" --argv0 {program} --library-path "{libraries}" "{binary}" "$@"\n'
        )
        script.chmod(0o755)


@pytest.fixture(params=roots() or ["PATH"])
def real_nix(request: pytest.FixtureRequest, tmp_path: Path) -> RealNix:
    settings: dict[str, object] = {}
    path, busybox = os.environ["PATH"], shutil.which("busybox") or ""
    if request.param != "PATH":
        wrap(Path(request.param), tmp_path / "programs")
        # By its usual name Nix would start it without the loader.
        settings["build-hook"] = str(tmp_path / "programs" / "build-remote")
        path = f"{tmp_path / 'programs'}:{path}"
        busybox = next(
            (str(path) for pattern in ("bin/busybox", "usr/bin/busybox") for path in Path(request.param).glob(pattern)),
            "",
        )
    elif not shutil.which("nix-store"):
        pytest.skip("no Nix: neither NIXMETAL_TEST_ROOTS nor PATH has one")
    if not busybox:
        pytest.skip("no static busybox for the builds to run")
    # A store of the test's own: nothing of the machine's is used.
    places = {
        f"NIX_{kind}_DIR": str(tmp_path / "nix" / kind.lower())
        for kind in ("STORE", "STATE", "LOG", "CONF", "LOCALSTATE")
    }
    return RealNix({"PATH": path, "HOME": str(tmp_path), "NIX_REMOTE": "", **places}, busybox, settings)
