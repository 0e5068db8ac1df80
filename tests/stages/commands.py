# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tools of the virtual environment in an environment that the user's settings do not reach."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CACHE = CHECKOUT / ".cache"
# Not resolved: .venv/bin/python is a link to the system's Python.
TOOLS = Path(sys.executable).parent

DROPPED_PREFIXES = ("ANSIBLE_", "METAL_", "MOLECULE_", "PACKET_", "PYTEST_", "PYENV_")
# What tests ask for by name, and skip loudly without.
KEPT = ("METAL_OPENAPI",)
DROPPED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "EQUINIX_METAL_API_TOKEN")


def environment(home: Path | None = None, **extra: str) -> dict[str, str]:
    """The caller's environment without what would change a check's result, and the tools first on PATH.

    Version managers' shims leave PATH: they end ansible-test with exit code 127.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or (name not in DROPPED and not name.startswith(DROPPED_PREFIXES))
    }
    path = [part for part in kept.get("PATH", os.defpath).split(os.pathsep) if part and "shims" not in Path(part).parts]
    kept["PATH"] = os.pathsep.join([str(TOOLS), *path])
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        kept["HOME"] = str(home)
    return kept | extra


def run(command: list[str], env: dict[str, str], cwd: Path = CHECKOUT) -> int:
    """Runs a command whose output goes where ours goes; the exit code comes back."""
    sys.stdout.flush()
    return subprocess.run(command, env=env, cwd=cwd, check=False).returncode


def capture(command: list[str], env: dict[str, str], cwd: Path = CHECKOUT, text: str | None = None) -> tuple[int, str]:
    """Runs a command and returns its exit code and both its outputs as one text."""
    done = subprocess.run(
        command,
        env=env,
        cwd=cwd,
        check=False,
        input=text if text is not None else "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def project_files() -> list[str]:
    """What git tracks or would track, as it stands in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("\0")
    return sorted({name for name in listed if name and (CHECKOUT / name).exists()})
