# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the check of ansible-doc complains of: each thing that a documentation can lack, taken out of a complete one."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tests" / "stages"))

import plugin_docs  # noqa: E402  (found by the line above)

NAME = "nixmetal.builders.thing_info"
WHOLE: dict[str, Any] = {
    "doc": {
        "short_description": "Tell of things",
        "description": ["Tells of things."],
        "version_added": "0.1.0",
        "author": ["someone"],
        "seealso": [{"module": "nixmetal.builders.thing"}],
        "attributes": {
            name: {"description": "It does.", "support": "full"}
            for name in ("check_mode", "diff_mode", "idempotent", "platform")
        },
        "options": {
            "place": {"description": ["Where."], "type": "str", "required": True, "choices": ["here", "there"]},
            "names": {"description": ["Which."], "type": "list", "elements": "str", "default": []},
        },
    },
    "examples": f"- name: Tell of things\n  {NAME}:\n    place: here\n",
    "return": {
        "things": {
            "description": ["The things."],
            "returned": "success",
            "type": "list",
            "elements": "dict",
            "contains": {"size": {"description": ["Bytes."], "type": "int"}},
            "sample": [{"size": 1}],
        }
    },
}


def complaints(plugin: dict[str, Any]) -> list[str]:
    answer = {
        "keyword": {"name": {}, "vars": {}},
        "module": {NAME: plugin},
        "inventory": {},
        "filter": {"nixmetal.builders.thing_table": COMPLETE_FILTER},
    }
    return [told.removeprefix(f"module {NAME}: ") for told in plugin_docs.all_complaints(answer)]


COMPLETE_FILTER: dict[str, Any] = {
    "doc": {**WHOLE["doc"], "options": {}},
    "examples": '- name: Show\n  ansible.builtin.debug:\n    msg: "{{ [] | nixmetal.builders.thing_table }}"\n',
    "return": {"_value": {"description": ["Lines."], "type": "str", "sample": "a"}},
}


def test_nothing_lacks() -> None:
    assert complaints(WHOLE) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("doc.version_added", "version_added is missing"),
        ("doc.seealso", "seealso is missing"),
        ("doc.attributes.platform", "attribute platform is missing"),
        ("doc.attributes.check_mode.support", "attribute check_mode is missing"),
        ("doc.options.place.description", "option place has no description"),
        ("doc.options.names.type", "option names has no type"),
        ("doc.options.names.elements", "option names does not say what it is a list of"),
        ("return.things", "RETURN is missing"),
        ("return.things.returned", "return value things does not say when it is returned"),
        ("return.things.sample", "return value things.size has no sample"),
        ("return.things.contains.size.type", "return value things.size has no type"),
    ],
)
def test_what_lacks_is_told(path: str, told: str) -> None:
    plugin = copy.deepcopy(WHOLE)
    *way, last = path.split(".")
    inner: dict[str, Any] = plugin
    for step in way:
        inner = inner[step]
    del inner[last]
    assert told in complaints(plugin)


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        ("", "there are no examples"),
        ("- name: [", "the examples do not parse"),
        ("- name: Another\n  ansible.builtin.ping:\n", "no example uses it"),
        (f"- name: A\n  {NAME}:\n    place: here\n    nmae: x\n", "sets nmae, which is no option"),
        (f"- name: A\n  {NAME}:\n    names: []\n", "lacks place, which is required"),
        (f"- name: A\n  {NAME}:\n    place: away\n", "sets place to 'away', which it cannot be"),
        (f"- {NAME}:\n    place: here\n", "an example has no name"),
        (f"- name: A\n  {NAME}: {{place: here}}\n- name: B\n  debug:\n", "calls debug by a short name"),
        (f"- name: A\n  {NAME}s: {{}}\n", f"calls {NAME}s, which is not there"),
        (
            f"- name: A\n  {NAME}: {{place: here}}\n- name: B\n  ansible.builtin.debug:\n    msg: '{{{{ [] | thing_table }}}}'\n",
            "the filter thing_table lacks its collection",
        ),
    ],
)
def test_examples_that_nobody_could_run_are_told(examples: str, told: str) -> None:
    assert any(told in complaint for complaint in complaints({**WHOLE, "examples": examples}))
