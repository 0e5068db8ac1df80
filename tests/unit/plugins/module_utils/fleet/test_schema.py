# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our reader of JSON Schema agrees with the library of that name on every example, and its sentences help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.contracts import contract_problems, schema
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.schema import problems

CONTRACTS = Path(__file__).resolve().parents[5] / "docs" / "contracts"
OURS = ("builder-facts", "builders-reading", "spot-fleet-bids", "provider-verbs")
EXAMPLES = [path for name in OURS for path in sorted((CONTRACTS / "examples" / name).glob("*/*.json"))]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "/".join(path.parts[-3:]))
def test_agrees_with_jsonschema(path: Path) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    contract = path.parts[-3]
    expected = jsonschema.Draft202012Validator(dict(schema(contract))).is_valid(value)
    assert (contract_problems(value, contract) == []) is expected is (path.parts[-2] == "good")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -1.5, "", "a", "b\n", "spot"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=6,
)
SCHEMA: dict[str, Any] = {
    "type": ["object", "array", "string", "number", "null"],
    "minLength": 1,
    "minItems": 1,
    "minimum": -1,
    "exclusiveMinimum": -2,
    "maximum": 2,
    "required": ["a"],
    "properties": {"a": {"enum": ["a", "spot", 1.0, None]}, "b": {"type": "boolean"}},
    "additionalProperties": False,
    "items": {"type": ["integer", "string"], "pattern": "^[a-z]"},
}


@given(VALUES)
def test_agrees_with_jsonschema_on_anything(value: Any) -> None:
    assert (problems(value, SCHEMA) == []) is jsonschema.Draft202012Validator(SCHEMA).is_valid(value) or (
        # A line break is refused where the library's `$` would let it pass, and true is never 1.
        "\\n" in json.dumps(value) or "true" in json.dumps(value)
    )


def test_keyword_that_is_not_checked_is_an_error() -> None:
    with pytest.raises(ValueError, match="oneWish"):
        problems(1, {"oneWish": True})


def test_problem_names_where_and_what() -> None:
    broken = contract_problems(
        {"complete": True, "source": "x", "project": None, "count": -1, "reat_at": "now"}, "builders-reading"
    )
    texts = [str(problem) for problem in broken]
    assert "read_at is missing" in texts
    assert "count must be at least 0, not -1" in texts
    assert any(text.startswith("reat_at is not a known field") for text in texts)


def test_unknown_contract_and_definition_are_told() -> None:
    with pytest.raises(FleetError, match="no contract 'nothing'"):
        contract_problems({}, "nothing")
    with pytest.raises(FleetError, match="defines no 'buy_result'"):
        contract_problems({}, "provider-verbs", "buy_result")


def test_second_line_is_no_part_of_a_key() -> None:
    pattern = {"type": "string", "pattern": "^ssh-ed25519 [A-Z]+$"}
    assert problems("ssh-ed25519 AAAA", pattern) == []
    assert problems("ssh-ed25519 AAAA\n", pattern) != []
