# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses every .nix file with a real Nix: the machine's own, or the one in a host of a lab that is there.

A machine without either cannot check the syntax here; stage loop evaluates every expression anyway.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from commands import CHECKOUT, capture, environment, project_files

NOT_CHECKED = -1
LAB_ROOTS = Path("/var/lib/nixmetal-lab")


def check() -> tuple[int, str]:
    """Exit code 0 when all parse; NOT_CHECKED, and a loud text, when there is no Nix to ask."""
    files = [name for name in project_files() if name.endswith(".nix")]
    nix = _nix_instantiate()
    if nix is None:
        return (
            NOT_CHECKED,
            f"*** {len(files)} .nix files are NOT parsed in this stage: no Nix here and no lab with one ***",
        )
    complaints = []
    for name in files:
        source = (CHECKOUT / name).read_text(encoding="utf-8")
        code, output = capture([*nix, "--parse", "-"], environment(), text=source)
        if code != 0:
            complaints.append(f"{name}: {output.strip()}")
    return int(bool(complaints)), "\n".join(complaints)


def _nix_instantiate() -> list[str] | None:
    found = shutil.which("nix-instantiate")
    if found:
        return [found]
    if os.geteuid() != 0:
        return None
    for program in sorted(LAB_ROOTS.glob("*/roots/*/usr/bin/nix-instantiate")):
        # A dummy store: to parse, Nix need not touch the root's own.
        return ["chroot", str(program.parents[2]), "/usr/bin/nix-instantiate", "--store", "dummy://"]
    return None
