# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds the examples of plugins to what can be pasted into a playbook: it parses, names are fully qualified, options exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

NAMESPACE = "nixmetal.builders"
BLOCKS = ("block", "rescue", "always")
# The name of each filter of an expression. Ours have names with underscores, which sets them apart from words after a |.
FILTER = re.compile(r"\|\s*([a-z_][a-z_.]*)")

Spec = Mapping[str, Any]


class Known(NamedTuple):
    """What an example may name: keywords of tasks and plays, modules of the collection with their docs, its filters."""

    keywords: frozenset[str]
    modules: Mapping[str, Spec]
    filters: frozenset[str]


def complaints(kind: str, name: str, plugin: Spec, known: Known) -> list[str]:
    """What is wrong with the examples of one plugin."""
    text = plugin["examples"] or ""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        return [f"the examples do not parse: {error}"]
    if not documents:
        return ["there are no examples"]
    found = [] if name in text else ["no example uses it"]
    found += _short_filters(text, known)
    for document in documents:
        if isinstance(document, list):
            found += [complaint for task in document for complaint in _task(task, known)]
        elif kind == "inventory":
            found += _options("the inventory", document, plugin["doc"])
        else:
            found.append("an example is no list of tasks")
    return found


def _short_filters(text: str, known: Known) -> list[str]:
    own = {full.rpartition(".")[2] for full in known.filters}
    return [f"the filter {name} lacks its collection" for name in FILTER.findall(text) if name in own]


def _task(task: Spec, known: Known) -> Iterator[str]:
    title = f"the example {task.get('name', '?')!r}"
    if "name" not in task:
        yield "an example has no name"
    for block in BLOCKS:
        for inner in task.get(block, []):
            yield from _task(inner, known)
    actions = [key for key in task if key not in known.keywords and not key.startswith("with_")]
    if len(actions) != (0 if "block" in task else 1):
        yield f"{title} has not one module but {', '.join(actions) or 'none'}"
    for action in actions:
        if action.count(".") < 2:
            yield f"{title} calls {action} by a short name"
        elif action.startswith(f"{NAMESPACE}."):
            yield from _module(title, action, task[action], known)


def _module(title: str, action: str, arguments: Any, known: Known) -> Iterator[str]:
    if action not in known.modules:
        yield f"{title} calls {action}, which is not there"
    elif isinstance(arguments, Mapping):
        yield from _options(title, arguments, known.modules[action])


def _options(title: str, given: Spec, doc: Spec) -> Iterator[str]:
    options = doc.get("options") or {}
    names = {name: option for key, option in options.items() for name in (key, *option.get("aliases", []))}
    yield from (f"{title} sets {key}, which is no option" for key in given if key not in names)
    for key, option in options.items():
        if option.get("required") and key not in given:
            yield f"{title} lacks {key}, which is required"
        value = given.get(key)
        if option.get("choices") and isinstance(value, str) and "{{" not in value and value not in option["choices"]:
            yield f"{title} sets {key} to {value!r}, which it cannot be"
