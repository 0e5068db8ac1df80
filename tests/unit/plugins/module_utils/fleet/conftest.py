# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[5] / "docs" / "contracts" / "examples"
Maker = Callable[..., dict[str, Any]]


def example(contract: str, name: str) -> Any:
    return json.loads((EXAMPLES / contract / "good" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def builder() -> Maker:
    """Makes the facts of a machine that is ready, with what a test changes."""
    ready = example("builder-facts", "ready")
    return lambda **changes: {**copy.deepcopy(ready), **changes}


@pytest.fixture
def bid() -> Maker:
    """Makes a bid, with what a test changes."""
    full = example("spot-fleet-bids", "full")[0]
    return lambda **changes: {**copy.deepcopy(full), **changes}
