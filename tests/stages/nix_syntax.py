# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses every .nix file with a real Nix, the machine's own or one unpacked in the cache."""

from __future__ import annotations

import shutil

import nix_root
from commands import CACHE, CHECKOUT, capture, environment, project_files

NOT_CHECKED = -1


def check() -> tuple[int, str]:
    """Exit code 0 when all parse; NOT_CHECKED, and a loud text, when there is no Nix to ask."""
    files = [name for name in project_files() if name.endswith(".nix")]
    command = _nix_instantiate()
    if command is None:
        return NOT_CHECKED, f"*** {len(files)} .nix files are NOT parsed: no Nix here ***"
    env = environment(home=CACHE / "home")
    complaints = []
    for name in files:
        source = (CHECKOUT / name).read_text(encoding="utf-8")
        # A dummy store: to parse, Nix needs none.
        code, output = capture([*command, "--store", "dummy://", "--parse", "-"], env, text=source)
        if code != 0:
            complaints.append(f"{name}: {output.strip()}")
    return int(bool(complaints)), "\n".join(complaints)


def _nix_instantiate() -> list[str] | None:
    found = shutil.which("nix-instantiate")
    if found:
        return [found]
    root = nix_root.provide()
    return nix_root.program(root, "nix-instantiate") if root else None
