# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian packages in an order in which each comes after what it depends on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any


def field(deb: Path, name: str) -> str:
    """Of the package's control file."""
    return subprocess.run(
        ["dpkg-deb", "--field", str(deb), name], check=True, capture_output=True, text=True
    ).stdout.strip()


def depends(deb: Path) -> list[str]:
    """Names alone; of alternatives the first."""
    words = field(deb, "Depends").split(",")
    return [found[0] for word in words if (found := re.match(r"[a-z0-9][a-z0-9.+-]*", word.strip()))]


def in_order(directory: Path) -> list[dict[str, Any]]:
    """Each with its name, its file, and the positions of what it needs.

    Debian's packages have circles, a store has none: what closes one is left out.
    """
    files = {deb.name.partition("_")[0]: deb for deb in sorted(directory.resolve().glob("*.deb"))}
    needs = {name: [need for need in depends(deb) if need in files] for name, deb in files.items()}
    position: dict[str, int] = {}
    packages: list[dict[str, Any]] = []

    def place(name: str, above: frozenset[str]) -> None:
        for need in needs[name]:
            if need not in position and need not in above:
                place(need, above | {name})
        if name not in position:
            wanted = sorted({position[need] for need in needs[name] if need in position})
            position[name] = len(packages)
            packages.append({"name": name, "deb": str(files[name]), "needs": wanted})

    for name in files:
        place(name, frozenset())
    return packages
