# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The charts of the benchmarks are drawn from the numbers that are kept, and their bars are as long as the numbers say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def charts(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("charts")


def test_the_pictures_are_drawn_from_the_numbers_that_are_kept(charts):
    for name, chart in charts.charts().items():
        assert (charts.PICTURES / f"{name}.svg").read_text() == charts.draw(chart), name


def test_each_picture_stands_on_its_page(charts):
    pages = "".join((CHECKOUT / "docs" / name).read_text() for name in ("benchmarks.md", "inventory-speed.md"))
    assert sorted(re.findall(r"\(pictures/([\w-]+)\.svg\)", pages)) == sorted(charts.charts())


def test_bars_are_in_proportion_and_carry_their_numbers(charts):
    bars = [charts.Bar("ours", 1.0, True), charts.Bar("a < b | c", 4.0, False)]
    root = ET.fromstring(charts.draw(charts.Chart("Title & more", "seconds", [charts.Group("", bars)])))
    short, long = root.findall(f"{SVG}rect")[1:]
    assert float(long.attrib["width"]) == pytest.approx(4 * float(short.attrib["width"]), rel=0.01)
    assert (short.attrib["fill"], long.attrib["fill"]) == (charts.OURS, charts.OTHERS)
    texts = [element.text for element in root.findall(f"{SVG}text")]
    assert texts == ["Title & more", "seconds", "ours", "1.00", "a < b | c", "4.00"]
    assert root.find(f"{SVG}desc").text == "In seconds. ours 1.00, a < b | c 4.00."


def test_nothing_leaves_the_picture_and_letters_stay_readable_on_a_telephone(charts):
    for name, chart in charts.charts().items():
        root = ET.fromstring(charts.draw(chart))
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        # A page leaves 350 of 390 pixels to a picture, and letters of less than 11 are hard to read.
        assert float(root.attrib["font-size"]) * 350 / width >= 11
        for element in root.findall(f"{SVG}text"):
            letters = len(element.text) * 7.3
            begin = float(element.attrib["x"]) - (letters if element.attrib.get("text-anchor") == "end" else 0)
            assert begin >= 0, (name, element.text)
            assert begin + letters <= width, (name, element.text)
            assert 0 < float(element.attrib["y"]) < height
