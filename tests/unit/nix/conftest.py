# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several tests of the images need."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix


@pytest.fixture
def tools(real_nix: RealNix) -> dict[str, str]:
    """The programs that cut an image, by name."""
    found = {
        name: shutil.which(name, path=real_nix.environment["PATH"]) for name in ("cpio", "mksquashfs", "unsquashfs")
    }
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"neither this machine nor NIXMETAL_TEST_ROOTS has {', '.join(missing)}")
    return {name: str(path) for name, path in found.items()}
