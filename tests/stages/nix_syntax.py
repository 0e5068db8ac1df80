# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses every .nix file with a real Nix: the machine's own, one in a host of a lab that is there, or one unpacked here.

A machine without Nix, mmdebstrap and root cannot check the syntax here, and the stage says so; stage loop evaluates the
lab's expressions anyway.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from commands import CACHE, CHECKOUT, capture, environment, project_files

NOT_CHECKED = -1
LAB_ROOTS = Path("/var/lib/nixmetal-lab")
OWN_ROOT = CACHE / "nix-root"
PROGRAM = "usr/bin/nix-instantiate"


def check() -> tuple[int, str]:
    """Exit code 0 when all parse; NOT_CHECKED, and a loud text, when there is no Nix to ask."""
    files = [name for name in project_files() if name.endswith(".nix")]
    nix = _nix_instantiate()
    if nix is None:
        return (
            NOT_CHECKED,
            f"*** {len(files)} .nix files are NOT parsed in this stage: no Nix, and no root and mmdebstrap to unpack one ***",
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
    labs = [program.parents[2] for program in sorted(LAB_ROOTS.glob(f"*/roots/*/{PROGRAM}"))]
    root = next(iter(labs), None) or _unpacked()
    # A dummy store: to parse, Nix need not touch the root's own.
    return ["chroot", str(root), f"/{PROGRAM}", "--store", "dummy://"] if root else None


def _unpacked() -> Path | None:
    """Debian's Nix in a folder of its own, unpacked once; about 10 seconds."""
    if not (OWN_ROOT / PROGRAM).exists() and shutil.which("mmdebstrap"):
        shutil.rmtree(OWN_ROOT, ignore_errors=True)
        OWN_ROOT.parent.mkdir(parents=True, exist_ok=True)
        options = ["--quiet", "--mode=root", "--variant=extract", "--include=nix-bin"]
        code, output = capture(["mmdebstrap", *options, "bookworm", str(OWN_ROOT)], environment())
        if code != 0:
            print(output)
    return OWN_ROOT if (OWN_ROOT / PROGRAM).exists() else None
