# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of the project under the path that ansible-test wants: TREE/ansible_collections/nixmetal/builders.

ansible-test refuses a checkout that is reached through a link. The copy has the uncommitted and the new files too,
and keeps tests/output from run to run, where ansible-test has its virtual environment.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from commands import CACHE, CHECKOUT, project_files

COPY = CACHE / "tree" / "ansible_collections" / "nixmetal" / "builders"
KEPT = ("tests/output", ".git")


def refresh() -> Path:
    """Brings the copy up to date and returns its path."""
    COPY.mkdir(parents=True, exist_ok=True)
    if not (COPY / ".git").is_dir():
        # Without a repository of its own, ansible-test would ask the checkout's, which ignores .cache.
        subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)
    wanted = project_files()
    _remove_others(set(wanted))
    for name in wanted:
        _copy(CHECKOUT / name, COPY / name)
    return COPY


def _remove_others(wanted: set[str]) -> None:
    for path in sorted(COPY.rglob("*"), reverse=True):
        name = path.relative_to(COPY).as_posix()
        if any(name == kept or name.startswith(kept + "/") for kept in KEPT) or name in wanted:
            continue
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


def _copy(source: Path, target: Path) -> None:
    if target.is_symlink() or (source.is_symlink() and target.exists()):
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
