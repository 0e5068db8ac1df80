# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that come in pages, read whole or not at all.

A list that changes while its pages are read can lose an entry between two of them. So the pages must agree with each other and
add up to the total that they tell; else the list is read anew, and after some tries the reading is given up.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    BadAnswer,
    IncompleteReading,
)

PER_PAGE = 100
READINGS = 4
MOST_PAGES = 10000

Item = dict[str, Any]
Query = dict[str, Any]


class Page:
    """One page: its items, and what it says of the rest."""

    def __init__(self, body: dict[str, Any], key: str, url: str) -> None:
        items, meta = body.get(key), body.get("meta")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadAnswer(f"{url} answered without a list of objects named '{key}'.", 200, url)
        if not isinstance(meta, dict):
            raise BadAnswer(f"{url} answered without 'meta', so it is not known whether more pages follow.", 200, url)
        self.items: list[Item] = items
        self.total = _whole_number(meta.get("total"))
        self.current = _whole_number(meta.get("current_page"))
        self.last = _whole_number(meta.get("last_page"))
        self.next_query = _next_query(meta.get("next"), url)


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _next_query(following: Any, url: str) -> Query | None:
    """The query of the next page. Its path is ours already, whether the link carries it, or the prefix, or a host, or not."""
    if following is None:
        return None
    href = following.get("href") if isinstance(following, dict) else following
    query = dict(parse_qsl(urlsplit(href).query)) if isinstance(href, str) else {}
    if not query:
        raise BadAnswer(f"{url} names a next page without a query: {href}.", 200, url)
    return query


class Reader:
    """Reads paged lists, with some pages at once."""

    def __init__(self, client: Client, workers: int = 4, per_page: int = PER_PAGE) -> None:
        self._client = client
        self._workers = workers
        self._per_page = per_page

    def read(self, path: str, key: str, query: Query | None = None) -> list[Item]:
        """Every item of a list, each once."""
        first_query = {**(query or {}), "page": 1, "per_page": self._per_page}
        for _reading in range(READINGS):
            pages = list(self._pages(path, key, first_query))
            items = _each_once(pages)
            if _adds_up(pages, items):
                return items
        url = self._client.url(path)
        raise IncompleteReading(
            f"{url} changed while its {len(pages)} pages were read, {READINGS} times in a row: "
            f"it tells of {pages[-1].total} entries and gave {len(items)}. Try again later.",
            url=url,
        )

    def walk(self, path: str, key: str, query: Query | None = None) -> Iterator[Page]:
        """The pages one by one, for a reader who may stop early."""
        asked: Query | None = {**(query or {}), "page": 1, "per_page": self._per_page}
        seen: list[Query] = []
        while asked is not None:
            if asked in seen or len(seen) >= MOST_PAGES:
                url = self._client.url(path)
                raise BadAnswer(f"{url} has pages that lead in a circle.", 200, url)
            seen.append(asked)
            page = self._page(path, key, asked)
            yield page
            asked = None if page.next_query is None else {**asked, **page.next_query}

    def _page(self, path: str, key: str, query: Query) -> Page:
        return Page(self._client.get(path, query), key, self._client.url(path))

    def _pages(self, path: str, key: str, query: Query) -> Iterator[Page]:
        first = self._page(path, key, query)
        if not _numbered(first):
            yield from self.walk(path, key, query)
            return
        yield first
        queries = [{**query, "page": number} for number in range(2, (first.last or 1) + 1)]
        if queries:
            with concurrent.futures.ThreadPoolExecutor(self._workers) as pool:
                yield from pool.map(lambda asked: self._page(path, key, asked), queries)


def _numbered(first: Page) -> bool:
    """True when the pages are numbered and their number is known, so that they can be asked for at once."""
    if first.next_query is None:
        return first.last in (None, 0, 1)
    return first.last is not None and 1 < first.last <= MOST_PAGES and first.next_query.get("page") == "2"


def _each_once(pages: list[Page]) -> list[Item]:
    items: dict[Any, Item] = {}
    for page in pages:
        for item in page.items:
            items.setdefault(item.get("id") or id(item), item)
    return list(items.values())


def _adds_up(pages: list[Page], items: list[Item]) -> bool:
    totals = {page.total for page in pages}
    if len(totals) > 1:
        return False
    return totals == {None} or totals == {len(items)}
