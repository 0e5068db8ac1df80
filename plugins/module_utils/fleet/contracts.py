# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schemas of docs/contracts, and values checked against them. Used on the controller, where the collection is whole."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.schema import Problem, problems

DIRECTORY = Path(__file__).resolve().parents[3] / "docs" / "contracts"


@functools.cache
def schema(name: str) -> Mapping[str, Any]:
    """The schema of docs/contracts/NAME.schema.json."""
    path = DIRECTORY / f"{name}.schema.json"
    try:
        loaded: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FleetError(f"there is no contract {name!r} ({path})") from error
    return loaded


def contract_problems(value: Any, name: str, definition: str | None = None) -> list[Problem]:
    """In what the value breaks the contract, or one definition of it."""
    root = schema(name)
    if definition is None:
        return problems(value, root, root)
    if definition not in root.get("$defs", {}):
        raise FleetError(f"the contract {name!r} defines no {definition!r}")
    return problems(value, root["$defs"][definition], root)
