# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A filter that checks a value against a schema of docs/contracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems as check
from ansible_collections.nixmetal.builders.plugins.plugin_utils.fleet_filters import for_operators


def contract_problems(value: Any, contract: str, definition: str | None = None) -> list[str]:
    return [str(problem) for problem in check(value, contract, definition)]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"contract_problems": for_operators(contract_problems)}
