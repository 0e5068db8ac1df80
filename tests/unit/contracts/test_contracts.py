# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every schema of docs/contracts accepts its good examples and refuses its bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

CONTRACTS = Path(__file__).resolve().parents[3] / "docs" / "contracts"
SCHEMAS = sorted(CONTRACTS.glob("*.schema.json"))


def name_of(path: Path) -> str:
    return path.name.removesuffix(".schema.json")


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(schema, example, id=f"{name_of(schema)}/{example.stem}")
        for schema in SCHEMAS
        for example in sorted((CONTRACTS / "examples" / name_of(schema) / kind).glob("*.json"))
    ]


def validator(schema: Path) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize("schema", SCHEMAS, ids=name_of)
def test_schema_is_one_and_has_examples_of_both_kinds(schema: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.read_text(encoding="utf-8")))
    for kind in ("good", "bad"):
        assert list((CONTRACTS / "examples" / name_of(schema) / kind).glob("*.json")), kind


@pytest.mark.parametrize(("schema", "example"), examples("good"))
def test_good_example_is_accepted(schema: Path, example: Path) -> None:
    validator(schema).validate(json.loads(example.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("schema", "example"), examples("bad"))
def test_bad_example_is_refused(schema: Path, example: Path) -> None:
    assert not validator(schema).is_valid(json.loads(example.read_text(encoding="utf-8")))
