# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JMESPath expressions over what was read."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import LibraryMissing, SettingError


def ask(expression: str, items: list[dict[str, Any]], option: str = "query") -> Any:
    """What an expression yields over a list."""
    try:
        import jmespath  # noqa: PLC0415 - needed by few, and a host without it gets a message
    except ImportError as error:
        raise LibraryMissing("jmespath", str(error)) from error
    try:
        # Its functions know plain values alone, and neither Ansible's tagged strings nor tuples.
        return jmespath.search(str(expression), json.loads(json.dumps(items)))  # type: ignore[no-untyped-call]
    except jmespath.exceptions.JMESPathError as error:
        words = " ".join(str(error).split())
        raise SettingError(f"{option} is not a JMESPath expression that can be applied here: {words}") from error


def chosen_ids(expression: str, items: list[dict[str, Any]], option: str = "query") -> set[str]:
    """The ids of the objects, or the plain ids, that an expression chooses of a list."""
    found = ask(expression, items, option)
    if not isinstance(found, list):
        raise SettingError(f"{option} must yield a list of devices or of their ids, not {json.dumps(found)[:80]}")
    ids = [item.get("id") if isinstance(item, dict) else item for item in found]
    known = {item["id"] for item in items}
    strange = [item for item in ids if not isinstance(item, str) or item not in known]
    if strange:
        raise SettingError(f"{option} must yield devices or their ids, and yields {json.dumps(strange[0])[:80]}")
    return {str(item) for item in ids}


def with_answer(result: dict[str, Any], key: str, expression: str | None) -> dict[str, Any]:
    """The result of an info module, and beside its list what the option query yields over it."""
    return result if expression is None else {**result, "query_result": ask(expression, result[key])}
