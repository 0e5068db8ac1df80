# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the collection's tarball and compares it with what git tracks: nothing lost, nothing of this machine in it."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from commands import CACHE, TOOLS, capture, environment, project_files

# What the tarball adds, and what it leaves out on purpose.
ADDED = {"FILES.json", "MANIFEST.json"}
LEFT_OUT = {".gitignore", "galaxy.yml"}


def check() -> tuple[int, str]:
    """Exit code 0 when the tarball holds exactly the project's files."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [str(TOOLS / "ansible-galaxy"), "collection", "build", "--output-path", folder]
        code, output = capture(command, environment(home=CACHE / "home"))
        if code != 0:
            return code, output
        packed = _names(next(Path(folder).glob("*.tar.gz"))) - ADDED
    tracked = set(project_files()) - LEFT_OUT
    complaints = [f"{name} is in the tarball and not in the repository" for name in sorted(packed - tracked)]
    complaints += [f"{name} is in the repository and not in the tarball" for name in sorted(tracked - packed)]
    return int(bool(complaints)), "\n".join(complaints)


def _names(tarball: Path) -> set[str]:
    with tarfile.open(tarball) as archive:
        return {member.name for member in archive.getmembers() if not member.isdir()}
