# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sites in docs/web-servers.md let caches keep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "web-servers.md"
RELEASE = f"/releases/lab/{'0' * 32}"
FOR_EVER, ANEW = "public, max-age=31536000, immutable", "no-cache"


def nixos_sites() -> list[tuple[str, str]]:
    """Expression and header of each location, in the order in which NixOS writes them: by priority, then by name."""
    page = PAGE.read_text(encoding="utf-8")
    block = page[page.index("locations = {") : page.index('"/".return')]
    found = []
    for part in re.split(r'^        (?="~ )', block, flags=re.MULTILINE)[1:]:
        (name,), (header,) = re.findall(r'^"~ (.*?)"', part), re.findall(r'Control "(.*?)"', part)
        priority = re.search(r"priority = (\d+);", part)
        found.append((int(priority[1]) if priority else 1000, name, header))
    return [(name.replace("?<", "?P<"), header) for _priority, name, header in sorted(found)]


@pytest.mark.parametrize(
    ("path", "header"),
    [
        (f"/blobs/sha256/{'a' * 64}", FOR_EVER),
        (f"{RELEASE}/netboot.ipxe", FOR_EVER),
        (f"{RELEASE}/netboot.ipxe.sig", ANEW),
        (f"{RELEASE}/kernel.sig", ANEW),
        ("/lab/netboot.ipxe", ANEW),
        ("/lab/netboot.ipxe.sig", ANEW),
    ],
)
def test_what_nixos_lets_caches_keep(path: str, header: str) -> None:
    assert next(told for expression, told in nixos_sites() if re.search(expression, path)) == header
