# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paged lists: whole or not at all, whichever form the link to the next page has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import errors
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.paging import Reader
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.transport import Answer, Call

LINKS = [
    "/metal/v1/projects/p/devices?page={page}&per_page=2",
    "/projects/p/devices?page={page}&per_page=2",
    "https://elsewhere.test/metal/v1/projects/p/devices?page={page}&per_page=2",
    "?page={page}",
]


class Pages:
    """Serves numbered items; `grow` adds one after each answer, as a list that changes while it is read."""

    def __init__(self, count: int, link: str = LINKS[0], grow: int = 0, **changes: Any) -> None:
        self.items = [{"id": f"d{number}"} for number in range(count)]
        self.link, self.grow, self.changes = link, grow, changes
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> Answer:
        self.calls.append(call)
        query = dict(call.query)
        page, size = int(query["page"]), int(query["per_page"])
        last = max(1, -(-len(self.items) // size))
        following = {"href": self.link.format(page=page + 1)} if page < last else None
        meta = {"total": len(self.items), "current_page": page, "last_page": last, "next": following}
        chosen = self.items[(page - 1) * size : page * size]
        if self.grow:
            self.grow -= 1
            self.items.insert(0, {"id": f"new{self.grow}"})
        body = {"devices": chosen, "meta": {**meta, **self.changes}}
        return Answer(200, json.dumps(body).encode(), {})


def read(client_of: Any, scripted: Any, pages: Any, per_page: int = 2) -> list[str]:
    client = client_of(scripted(by=pages))
    return [item["id"] for item in Reader(client, 3, per_page).read("/projects/p/devices", "devices")]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
def test_every_item_once_and_in_order(client_of, scripted, link: str, count: int) -> None:
    pages = Pages(count, link)
    assert read(client_of, scripted, pages) == [f"d{number}" for number in range(count)]
    assert len(pages.calls) == max(1, -(-count // 2))
    assert {call.path for call in pages.calls} == {"/projects/p/devices"}


@pytest.mark.parametrize("link", LINKS)
def test_pages_are_followed_when_their_number_is_not_told(client_of, scripted, link: str) -> None:
    assert read(client_of, scripted, Pages(7, link, last_page=None)) == [f"d{number}" for number in range(7)]


def test_a_list_that_changed_is_read_anew(client_of, scripted) -> None:
    assert sorted(read(client_of, scripted, Pages(6, grow=2))) == sorted([f"d{n}" for n in range(6)] + ["new0", "new1"])


def test_a_list_that_keeps_changing_is_given_up(client_of, scripted) -> None:
    with pytest.raises(errors.IncompleteReading, match="changed while"):
        read(client_of, scripted, Pages(6, grow=1000))


def test_a_total_that_does_not_add_up_is_given_up(client_of, scripted) -> None:
    with pytest.raises(errors.IncompleteReading, match="tells of 9 entries and gave 3"):
        read(client_of, scripted, Pages(3, total=9))


def test_pages_in_a_circle_end(client_of, scripted) -> None:
    pages = Pages(6, next={"href": "?page=2"}, last_page=None)
    with pytest.raises(errors.BadAnswer, match="circle"):
        read(client_of, scripted, pages)


@pytest.mark.parametrize(
    "body",
    [
        {"meta": {"next": None}},
        {"devices": None, "meta": {"next": None}},
        {"devices": ["x"], "meta": {"next": None}},
        {"devices": {}, "meta": {"next": None}},
        {"devices": []},
        {"devices": [], "meta": None},
        {"devices": [], "meta": {"next": {"href": None}}},
        {"devices": [], "meta": {"next": {}}},
    ],
)
def test_a_page_without_sense_is_refused(client_of, scripted, answered, body: dict[str, Any]) -> None:
    with pytest.raises(errors.BadAnswer):
        read(client_of, scripted, lambda _call: answered(200, body))
