# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links to results: they keep a result from the garbage collector, and other programs find it by them."""

from __future__ import annotations

import os
from collections.abc import Mapping


def names(link: str | None, outputs: Mapping[str, str]) -> dict[str, str]:
    """Links that nix-build would make: LINK for "out", LINK-dev for "dev"; each with the path it shall show."""
    if link is None:
        return {}
    return {link if name == "out" else f"{link}-{name}": path for name, path in outputs.items()}


def read(links: Mapping[str, str]) -> dict[str, str | None]:
    """What the links show now."""
    return {link: os.readlink(link) if os.path.islink(link) else None for link in links}


def text(links: Mapping[str, str | None]) -> str:
    """Links as lines of a diff."""
    return "".join(f"{link} -> {target}\n" for link, target in sorted(links.items()) if target)
