# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builder facts: the host variables of a builder, whatever found it, and whether they are what the contract says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems, schema

CONTRACT = "builder-facts"


def facts_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The builder facts among all variables of a host; nothing else is read, so nothing else is templated."""
    return {name: variables[name] for name in schema(CONTRACT)["properties"] if name in variables}


def facts_problems(facts: Mapping[str, Any]) -> list[str]:
    """In what the facts break the contract, as sentences."""
    return [str(problem) for problem in contract_problems(facts, CONTRACT)]


def repeated(values: Iterable[str]) -> set[str]:
    """The values that occur more than once."""
    seen: set[str] = set()
    twice: set[str] = set()
    for value in values:
        (twice if value in seen else seen).add(value)
    return twice
