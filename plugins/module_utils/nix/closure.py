# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Closures, and what two of them differ in: by package, version and bytes, as nix store diff-closures tells it.

Asked by nix-store alone, which all versions of Nix have and whose answers are the same in all.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import store
from .command import Nix

# As Nix tells a name from a version: the version begins at the first dash that no letter follows.
VERSION = re.compile(r"-(?=[^A-Za-z])")
# A package's further outputs; diff-closures takes these words for no part of a version too.
OUTPUT = re.compile(r"-(bin|dev|doc|info|lib|man|debug|devdoc|static|out|lib32|lib64)$")
NO_VERSION = "-"


@dataclasses.dataclass(frozen=True)
class Change:
    """One package that the two closures do not have alike. Bytes are None where nothing is built yet."""

    name: str
    before: list[str]
    after: list[str]
    bytes_before: int | None
    bytes_after: int | None

    def public(self) -> dict[str, Any]:
        """As modules return it."""
        return dataclasses.asdict(self)


def sizes(nix: Nix, path: str) -> dict[str, int]:
    """Every path of a closure with its bytes."""
    return store.sizes(nix, store.query(nix, "--requisites", [path]))


def compare(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> list[Change]:
    """What differs between two closures, in order of names."""
    old, new = _packages(before), _packages(after)
    changes = [_change(name, old.get(name, {}), new.get(name, {})) for name in sorted({*old, *new})]
    return [change for change in changes if change is not None]


def text(changes: Iterable[Change], side: str) -> str:
    """One side of the changes, a line for each package that it has."""
    lines = []
    for change in changes:
        versions = change.before if side == "before" else change.after
        size = change.bytes_before if side == "before" else change.bytes_after
        if versions:
            lines.append(f"{change.name} {', '.join(versions)}" + ("" if size is None else f" ({size} bytes)"))
    return "".join(f"{line}\n" for line in lines)


def split_name(path: str) -> tuple[str, str]:
    """Package and version of a store path's name."""
    name = OUTPUT.sub("", re.sub(r"\.drv$", "", store.name_of(path)))
    parts = VERSION.split(name, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 and parts[1] else NO_VERSION


def _packages(closure: Mapping[str, int | None]) -> dict[str, dict[str, int | None]]:
    found: dict[str, dict[str, int | None]] = {}
    for path in closure:
        found.setdefault(split_name(path)[0], {})[path] = closure[path]
    return found


def _change(name: str, old: Mapping[str, int | None], new: Mapping[str, int | None]) -> Change | None:
    before, after = _versions(old), _versions(new)
    size_before, size_after = _bytes(old), _bytes(new)
    if (before, size_before) == (after, size_after):
        return None
    return Change(name, before, after, size_before, size_after)


def _versions(paths: Iterable[str]) -> list[str]:
    return sorted({split_name(path)[1] for path in paths})


def _bytes(paths: Mapping[str, int | None]) -> int | None:
    known = [size for size in paths.values() if size is not None]
    return sum(known) if len(known) == len(paths) else None
