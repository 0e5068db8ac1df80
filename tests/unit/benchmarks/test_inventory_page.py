# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the inventory's speed is made of the results that are kept, and says truly what was reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def page(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inventory/page")


def result(others: float = 0.0, lists: str = "the same lists", **walls: list[float]) -> dict[str, Any]:
    rest = {"cpu_s": 1.0, "service_cpu_s": 1.0, "requests": 21, "memory_mb": 99, "others": others}
    names = {"ours": "ours", "cached": "ours, cached", "peer": "equinix.cloud"}
    runs = {names[name]: [{"wall_s": wall, **rest} for wall in taken] for name, taken in walls.items()}
    return {"size": 2000, "lists": lists, "machine": "2 x fast", "at": "2026-11-26 04:00:00", "runs": runs}


def test_the_page_is_made_of_the_results_that_are_kept(page):
    kept = page.read(CHECKOUT / "docs/benchmarks/inventory.jsonl")
    assert (CHECKOUT / "docs/inventory-speed.md").read_text(encoding="utf-8") == page.page(kept)


def test_plugins_are_compared_turn_by_turn(page):
    """A busy time makes a turn longer for each of them; the medians alone would say 2.0."""
    told = result(ours=[1.0, 2.0, 4.0], cached=[1.0, 1.0, 2.0], peer=[4.0, 4.0, 16.0])
    assert page.times(told, "equinix.cloud", "wall_s") == 4.0
    assert page.aims([told]) == [
        "- 2,000 machines, the same lists, at least 3 times as fast: 4.0, and 8.0 with a cached reading; reached"
    ]


@pytest.mark.parametrize(
    ("walls", "word"),
    [
        ({"ours": [1.0], "cached": [0.5], "peer": [2.9]}, "; not reached"),
        ({"ours": [1.0], "cached": [2.0], "peer": [4.0]}, "; not reached"),
        ({"ours": [1.0], "cached": [0.5], "peer": [3.0]}, "; reached"),
    ],
)
def test_an_aim_is_reached_by_both_or_not(page, walls, word):
    (line,) = page.aims([result(**walls), result(lists="with the events", **walls)])
    assert line.endswith(word)


def test_without_the_peer_nothing_is_compared(page):
    assert page.aims([result(ours=[1.0], cached=[0.5])]) == []


def test_of_several_measurements_the_least_disturbed_is_shown_whatever_it_says(page):
    quiet, busy = result(others=0.1, ours=[2.0]), result(others=1.5, ours=[1.0])
    assert page.chosen([busy, quiet]) == page.chosen([quiet, busy]) == [quiet]
