# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shells that an image may have: every script of nix/lib must run in each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[3] / "nix/lib"
NAMES = ("sh", "bash", "busybox")


def find_busybox() -> str | None:
    """On PATH, or in one of the roots that the tests' Nix comes from."""
    roots = [Path(root) for root in os.environ.get("NIXMETAL_TEST_ROOTS", "").split(":") if root]
    found = [str(path) for root in roots for path in (root / "bin/busybox", root / "usr/bin/busybox") if path.exists()]
    return shutil.which("busybox") or next(iter(found), None)


def shell(name: str) -> list[str]:
    """The command that runs a script; a test without this shell is skipped."""
    program = find_busybox() if name == "busybox" else shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    return [program, "sh"] if name == "busybox" else [program]


def run(name: str, script: str, environment: dict[str, str], seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a script of nix/lib with this environment alone."""
    return subprocess.run(
        [*shell(name), str(LIBRARY / script)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
    )
