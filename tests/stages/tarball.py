# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the collection's tarball: it holds what git tracks and nothing of this machine, and its playbooks run by their names."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from commands import CACHE, CHECKOUT, TOOLS, capture, environment, project_files

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
        archive = next(Path(folder).glob("*.tar.gz"))
        packed = _names(archive) - ADDED
        code, output = _playbooks_by_name(archive, Path(folder))
        if code != 0:
            return code, output
    tracked = set(project_files()) - LEFT_OUT
    complaints = [f"{name} is in the tarball and not in the repository" for name in sorted(packed - tracked)]
    complaints += [f"{name} is in the repository and not in the tarball" for name in sorted(tracked - packed)]
    return int(bool(complaints)), "\n".join(complaints)


def _playbooks_by_name(archive: Path, folder: Path) -> tuple[int, str]:
    """Installs the tarball into an empty place and names each playbook to Ansible as its users do, away from the checkout."""
    env = environment(home=folder / "home", ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"), NO_COLOR="1")
    galaxy = [str(TOOLS / "ansible-galaxy"), "collection", "install", str(archive), "-p", str(folder / "collections")]
    code, output = capture(galaxy, env, cwd=folder)
    if code != 0:
        return code, output
    names = [f"nixmetal.builders.{path.stem}" for path in sorted((CHECKOUT / "playbooks").glob("*.yml"))]
    command = [str(TOOLS / "ansible-playbook"), "-i", "localhost,", "--syntax-check", *names]
    return capture(command, env, cwd=folder)


def _names(tarball: Path) -> set[str]:
    with tarfile.open(tarball) as archive:
        return {member.name for member in archive.getmembers() if not member.isdir()}
