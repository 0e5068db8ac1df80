# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks values against the part of JSON Schema that docs/contracts uses, with messages for operators.

The library jsonschema would do it as well, but Ansible does not bring it. A keyword that this file does not know is an
error, so that a schema never promises more than is checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

JsonObject = Mapping[str, Any]

TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: TYPES["integer"](value) or (isinstance(value, float) and math.isfinite(value)),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, (list, tuple)),
    "object": lambda value: isinstance(value, Mapping),
}
OTHER_KEYWORDS = {"type", "$schema", "$id", "$defs", "title", "description", "default", "format", "examples"}


class Problem(NamedTuple):
    """Where a value breaks its schema (keys and indexes from the top), and how."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)} {self.message}" if self.path else self.message


def dotted(path: Sequence[str | int]) -> str:
    """The path as a person writes it: metros[0], builder_spot.bid."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".")


def problems(value: Any, schema: JsonObject, root: JsonObject | None = None) -> list[Problem]:
    """Everything in which the value breaks the schema; an empty list when it fits."""
    root = schema if root is None else root
    unknown = set(schema) - set(RULES) - OTHER_KEYWORDS
    if unknown:
        raise ValueError(f"schema keyword not supported: {', '.join(sorted(unknown))}")
    if "type" in schema and not _type_fits(value, schema["type"]):
        return [Problem((), f"must be {_type_words(schema['type'])}, not {_shown(value)}")]
    found: list[Problem] = []
    for keyword, rule in RULES.items():
        if keyword in schema:
            found += rule(value, schema, root)
    return found


def _type_fits(value: Any, wanted: str | list[str]) -> bool:
    return any(TYPES[name](value) for name in ([wanted] if isinstance(wanted, str) else wanted))


def _type_words(wanted: str | list[str]) -> str:
    words = {"object": "a mapping", "array": "a list", "integer": "a whole number"}
    names = [wanted] if isinstance(wanted, str) else wanted
    return " or ".join(words.get(name, "null" if name == "null" else f"a {name}") for name in names)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        return f"'{value[:60]}'"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _const(value: Any, schema: JsonObject, _root: JsonObject) -> list[Problem]:
    same = value == schema["const"] and isinstance(value, bool) == isinstance(schema["const"], bool)
    return [] if same else [Problem((), f"must be {_shown(schema['const'])}, not {_shown(value)}")]


def _enum(value: Any, schema: JsonObject, _root: JsonObject) -> list[Problem]:
    if value in schema["enum"]:
        return []
    return [Problem((), f"must be one of {', '.join(map(str, schema['enum']))}, not {_shown(value)}")]


def _pattern(value: Any, schema: JsonObject, _root: JsonObject) -> list[Problem]:
    # `$` also matches before a last newline, which would let a second line into a file.
    if not isinstance(value, str) or (re.search(schema["pattern"], value) and not value.endswith("\n")):
        return []
    return [Problem((), f"is {_shown(value)}, which does not match {schema['pattern']}")]


def _at_least(keyword: str, words: str, fits: Callable[[Any, Any], bool]) -> Callable[..., list[Problem]]:
    def rule(value: Any, schema: JsonObject, _root: JsonObject) -> list[Problem]:
        if not TYPES["number"](value) or fits(value, schema[keyword]):
            return []
        return [Problem((), f"must be {words} {schema[keyword]}, not {value}")]

    return rule


def _length(keyword: str, kind: type[str | list[Any]], words: str) -> Callable[..., list[Problem]]:
    def rule(value: Any, schema: JsonObject, _root: JsonObject) -> list[Problem]:
        if not isinstance(value, kind) or len(value) >= schema[keyword]:
            return []
        return [Problem((), words)]

    return rule


def _unique(value: Any, _schema: JsonObject, _root: JsonObject) -> list[Problem]:
    if not isinstance(value, (list, tuple)):
        return []
    twice = [item for index, item in enumerate(value) if item in value[:index]]
    return [Problem((), f"names {_shown(twice[0])} twice")] if twice else []


def _items(value: Any, schema: JsonObject, root: JsonObject) -> list[Problem]:
    if not isinstance(value, (list, tuple)):
        return []
    return [
        Problem((index, *problem.path), problem.message)
        for index, item in enumerate(value)
        for problem in problems(item, schema["items"], root)
    ]


def _required(value: Any, schema: JsonObject, _root: JsonObject) -> list[Problem]:
    if not isinstance(value, Mapping):
        return []
    return [Problem((name,), "is missing") for name in schema["required"] if name not in value]


def _properties(value: Any, schema: JsonObject, root: JsonObject) -> list[Problem]:
    if not isinstance(value, Mapping):
        return []
    return [
        Problem((name, *problem.path), problem.message)
        for name, inner in schema["properties"].items()
        if name in value
        for problem in problems(value[name], inner, root)
    ]


def _others(value: Any, schema: JsonObject, root: JsonObject) -> list[Problem]:
    """Fields that are not named: none may be there (false), or each must fit a schema."""
    if not isinstance(value, Mapping):
        return []
    known, wanted = schema.get("properties", {}), schema["additionalProperties"]
    others = [name for name in value if name not in known]
    if wanted is False:
        return [Problem((str(name),), f"is not a known field (known: {', '.join(sorted(known))})") for name in others]
    return [
        Problem((str(name), *problem.path), problem.message)
        for name in others
        for problem in problems(value[name], wanted, root)
    ]


def _ref(value: Any, schema: JsonObject, root: JsonObject) -> list[Problem]:
    name = schema["$ref"].rpartition("/")[2]
    return problems(value, root["$defs"][name], root)


def _one_of(value: Any, schema: JsonObject, root: JsonObject) -> list[Problem]:
    fitting = [option for option in schema["oneOf"] if not problems(value, option, root)]
    return [] if len(fitting) == 1 else [Problem((), f"fits {len(fitting)} of the allowed forms, not one")]


RULES: dict[str, Callable[[Any, JsonObject, JsonObject], list[Problem]]] = {
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _at_least("minimum", "at least", lambda value, limit: value >= limit),
    "maximum": _at_least("maximum", "at most", lambda value, limit: value <= limit),
    "exclusiveMinimum": _at_least("exclusiveMinimum", "more than", lambda value, limit: value > limit),
    "minLength": _length("minLength", str, "must not be empty"),
    "minItems": _length("minItems", list, "must name at least one"),
    "uniqueItems": _unique,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _others,
    "items": _items,
    "$ref": _ref,
    "oneOf": _one_of,
}
