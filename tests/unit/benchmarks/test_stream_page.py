# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the stream's benchmarks is made of the results that are kept, and says truly what was reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def page(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("stream/page")


def result(portion: str, at: str = "2026-11-26 04:00:00", others: float = 0.0, **seconds: float) -> dict[str, Any]:
    runs = {
        name: [{"seconds": value, "wire": 1_000_000, "cpu": 1.0, "others": others}] for name, value in seconds.items()
    }
    facts = {"scenario": "cold", "MB changed": 1.0}
    return {"portion": portion, "facts": facts, "machine": "2 x fast", "versions": {"ssh": "9"}, "at": at, "runs": runs}


def rows(page: ModuleType, *results: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    lines = page.page(list(results)).partition("## Aims")[2].partition("## What")[0].splitlines()
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines if line.startswith("| ")]
    return {(cell[0].strip("| "), cell[1]): cell[2:] for cell in cells}


def test_the_page_is_made_of_the_results_that_are_kept(page):
    kept = [json.loads(line) for line in (CHECKOUT / "docs/benchmarks/stream.jsonl").read_text().splitlines()]
    assert (CHECKOUT / "docs/benchmarks.md").read_text() == page.page(kept)


def test_an_aim_is_reached_or_not_or_was_not_measured(page):
    cold = {"stream": 1.0, "rsync": 2.5, "scp": 2.1, "tar | ssh": 3.0, "tar | nc": 0.9}
    fast = {f"{name}, aes128-gcm": 1.4 for name in ("rsync", "scp", "tar | ssh")}
    found = rows(page, result("cold-tmpfs", **cold, **fast), result("next-tmpfs", stream=1.0, rsync=2.0))
    assert found["times as fast as the fastest of rsync, scp and tar over SSH", "cold-tmpfs"] == [
        "at least 2",
        "2.10",
        "yes |",
    ]
    assert found["times as fast as the fastest of them with aes128-gcm", "cold-tmpfs"] == [
        "at least 1.5",
        "1.40",
        "no |",
    ]
    assert found["times as fast as plain tar and nc", "cold-tmpfs"][1:] == ["0.90", "no |"]
    assert found["bytes on the wire per byte changed", "next-tmpfs"] == ["at most 1.2", "1.00", "yes |"]
    assert found["times as fast as rsync", "next-disk"][1] == "not measured"


def test_of_several_measurements_the_least_disturbed_is_shown_whatever_it_says(page):
    slow = result("next-tmpfs", "2026-11-26 04:01:00", 0.1, stream=2.0, rsync=2.0)
    fast = result("next-tmpfs", "2026-11-26 04:02:00", 0.5, stream=1.0, rsync=2.0)
    for order in ((slow, fast), (fast, slow)):
        text = page.page(list(order))
        assert "measured 2026-11-26 04:01:00" in text
        assert rows(page, *order)["times as fast as rsync", "next-tmpfs"][1] == "1.00"
