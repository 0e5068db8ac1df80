# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""include, exclude and paging: the same for every kind of object."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

Resolve = Callable[[str], dict[str, Any] | None]
T = TypeVar("T")
_DEPTH = 3
_DIGITS = re.compile(r"[0-9]{1,9}")


def _paths(query: QueryParams, name: str) -> list[list[str]]:
    """`include=a,b.c` and `include[]=a` and repetitions of both."""
    return _parsed((*query.getlist(name), *query.getlist(f"{name}[]")))


@functools.lru_cache
def _parsed(texts: tuple[str, ...]) -> list[list[str]]:
    """The same for each item of a list, and so read once."""
    return [path.strip().split(".")[:_DEPTH] for text in texts for path in text.split(",") if path.strip()]


def shape(item: dict[str, Any], query: QueryParams, resolve: Resolve, singular: str = "") -> dict[str, Any]:
    """Expand what is included, cut down what is excluded. The item itself is not changed."""
    for path in _paths(query, "include"):
        item = _at(item, _relative(path, singular), lambda value: _expand(value, resolve))
    for path in _paths(query, "exclude"):
        item = _at(item, _relative(path, singular), _cut, intermediate=lambda value: value)
    return item


def _relative(path: list[str], singular: str) -> list[str]:
    """Some clients name the listed object first: `devices.plan` beside `plan`."""
    return path[1:] if singular and len(path) > 1 and path[0] in (singular, singular + "s") else path


def _at(
    item: Any,
    path: list[str],
    change: Callable[[Any], Any],
    intermediate: Callable[[Any], Any] | None = None,
) -> Any:
    if not path:
        return change(item)
    if isinstance(item, list):
        return [_at(element, path, change, intermediate) for element in item]
    if not isinstance(item, dict) or path[0] not in item:
        return item
    head, rest = path[0], path[1:]
    value = change(item[head]) if not rest else (intermediate or change)(item[head])
    return {**item, head: _at(value, rest, change, intermediate) if rest else value}


def _expand(value: Any, resolve: Resolve) -> Any:
    if isinstance(value, list):
        return [_expand(element, resolve) for element in value]
    if isinstance(value, dict) and set(value) == {"href"}:
        return resolve(value["href"]) or value
    return value


def _cut(value: Any) -> Any:
    if isinstance(value, list):
        return [_cut(element) for element in value]
    return {"href": value["href"]} if isinstance(value, dict) and "href" in value else value


def _number(query: QueryParams, name: str, default: int, most: int) -> int:
    """Out of range is brought into range: the API documents no 422 for lists. Of a text, the digits that it begins with
    count, as production had it: packet-python puts a question mark behind the links that it follows."""
    digits = _DIGITS.match(query.get(name, ""))
    return max(1, min(most, int(digits[0]))) if digits else default


def page_of(items: Sequence[T], query: QueryParams, path: str) -> tuple[Sequence[T], dict[str, Any]]:
    """One page and its `meta`, whose hrefs carry no prefix (as production sent them)."""
    number = _number(query, "page", 1, 100_000)
    size = _number(query, "per_page", 10, 1000)
    last = max(1, -(-len(items) // size))
    others = [(key, value) for key, value in query.multi_items() if key not in ("page", "per_page")]

    def link(page: int) -> dict[str, str] | None:
        if not 1 <= page <= last:
            return None
        return {"href": f"{path}?{urlencode([*others, ('page', page), ('per_page', size)])}"}

    meta = {
        "first": link(1),
        "previous": link(number - 1),
        "self": {"href": f"{path}?{urlencode([*others, ('page', number), ('per_page', size)])}"},
        "next": link(number + 1),
        "last": link(last),
        "current_page": number,
        "last_page": last,
        "total": len(items),
    }
    return items[(number - 1) * size : number * size], meta
