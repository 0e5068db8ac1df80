# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds what ansible-doc shows of each plugin to be complete: what antsibull and ansible-test let pass, a reader misses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import plugin_examples
from commands import CACHE, CHECKOUT, TOOLS, capture, environment

NAMESPACE = "nixmetal.builders"
SECTIONS = ("short_description", "description", "version_added", "author", "seealso")
ATTRIBUTES = ("check_mode", "diff_mode", "idempotent", "platform")
# What Ansible's own fragments say of their options is not ours to complete.
BORROWED = ("cache_prefix",)

Spec = Mapping[str, Any]


def check() -> tuple[int, str]:
    """Exit code 0 when nothing is missing; otherwise a line for each thing that is."""
    command = [str(TOOLS / "ansible-doc"), "--metadata-dump", "--no-fail-on-errors", NAMESPACE]
    env = environment(home=CACHE / "home", ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / ".collections"), NO_COLOR="1")
    code, output = capture(command, env)
    if code != 0:
        return code, output
    # A warning may stand before the answer.
    answer = json.JSONDecoder().raw_decode(output[output.index("{") :])[0]["all"]
    complaints = list(all_complaints(answer))
    return int(bool(complaints)), "\n".join(complaints)


def all_complaints(answer: Spec) -> Iterator[str]:
    """What is missing in the answer of ansible-doc, as a line for each."""
    keywords = frozenset(answer["keyword"])
    modules = {name: plugin["doc"] for name, plugin in answer["module"].items()}
    filters = frozenset(answer["filter"])
    for kind in ("module", "inventory", "filter"):
        for name, plugin in answer[kind].items():
            found = [*plugin_complaints(kind, plugin)]
            found += plugin_examples.complaints(kind, name, plugin, plugin_examples.Known(keywords, modules, filters))
            yield from (f"{kind} {name}: {complaint}" for complaint in found)


def plugin_complaints(kind: str, plugin: Spec) -> Iterator[str]:
    """What one plugin's documentation lacks, but for its examples."""
    doc = plugin["doc"]
    yield from (f"{section} is missing" for section in SECTIONS if not doc.get(section))
    if kind == "module":
        told = doc.get("attributes") or {}
        yield from (f"attribute {name} is missing" for name in ATTRIBUTES if not told.get(name, {}).get("support"))
    yield from option_complaints(doc.get("options") or {})
    if kind != "inventory":
        if not plugin["return"]:
            yield "RETURN is missing"
        yield from return_complaints(plugin["return"] or {}, [])


def option_complaints(options: Spec, path: str = "") -> Iterator[str]:
    """Each option says what it is, and of which type; one that must be given has no default."""
    for key, option in options.items():
        if key in BORROWED:
            continue
        name = f"option {path}{key}"
        yield from (f"{name} has no {field}" for field in ("description", "type") if not option.get(field))
        if option.get("type") == "list" and not option.get("elements"):
            yield f"{name} does not say what it is a list of"
        if option.get("required") and "default" in option:
            yield f"{name} is required and has a default"
        yield from option_complaints(option.get("suboptions") or {}, f"{path}{key}.")


def return_complaints(values: Spec, samples: list[Any], path: str = "") -> Iterator[str]:
    """Each value says what it is and has a sample, its own or its part of the sample of the value that it is in."""
    for key, value in values.items():
        name = f"return value {path}{key}"
        yield from (f"{name} has no {field}" for field in ("description", "type") if not value.get(field))
        if not path and key != "_value" and not value.get("returned"):
            yield f"{name} does not say when it is returned"
        if value.get("type") == "list" and not value.get("elements"):
            yield f"{name} does not say what it is a list of"
        shown = [value["sample"]] if "sample" in value else parts(samples, key)
        inner = value.get("contains") or {}
        if not shown and not inner:
            yield f"{name} has no sample"
        yield from return_complaints(inner, shown, f"{path}{key}.")


def parts(samples: list[Any], key: str) -> list[Any]:
    """What the samples of the outer value show of an inner one: in it, in its list's elements, or in each entry of it by name."""
    entries = [*samples]
    for sample in samples:
        entries += sample if isinstance(sample, list) else list(sample.values()) if isinstance(sample, dict) else []
    return [entry[key] for entry in entries if isinstance(entry, dict) and key in entry]
