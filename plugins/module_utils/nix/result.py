# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What module nix_build is asked, and what it answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from . import closure, out_links, store
from .closure import Change
from .command import Nix
from .evaluation import Source
from .forecast import Target

OWN_STORE = Target("auto")


def _nobody_minds(_what: str) -> None:
    """No other run is to know of the build."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is wanted."""

    source: Source
    evaluate_only: bool = False
    out_link: str | None = None
    rebuild: bool = False
    log_lines: int = 40
    target: Target = OWN_STORE  # where it would be built; asked in check mode alone
    claim: Callable[[str], None] = _nobody_minds  # is told what is about to be built, and may end it there


@dataclasses.dataclass
class Result:
    """What was done, or would be."""

    derivation: str | None  # None for a path that is only fetched
    outputs: dict[str, str]
    out_path: str | None
    built: list[str] = dataclasses.field(default_factory=list)
    fetched: list[str] = dataclasses.field(default_factory=list)
    download_size: int | None = None
    unpacked_size: int = 0
    closure_size: int | None = None
    difference: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    changed: bool = False
    diff: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def public(self) -> dict[str, Any]:
        """As the module returns it."""
        return dataclasses.asdict(self)

    def take(self, missing: store.Missing) -> None:
        """What would be built and fetched, as Nix foretells it."""
        self.built, self.fetched = missing.built, missing.fetched
        self.download_size, self.unpacked_size = missing.download_size, missing.unpacked_size


def of_path(path: str) -> Result:
    """An output that is there already, or in a binary cache."""
    return Result(None, {"out": path}, path)


def chosen(outputs: Mapping[str, str], output: str) -> str | None:
    """One of the outputs: the named one where it exists."""
    return outputs.get(output) or next(iter(outputs.values()), None)


def conclude(
    result: Result, before: Mapping[str, str | None], after: Mapping[str, str], changes: Sequence[Change] = ()
) -> Result:
    """Say whether anything changed, and what."""
    result.changed = bool(result.changed or result.built or result.fetched or before != after)
    result.difference = [change.public() for change in changes]
    result.diff = {
        "before": out_links.text(before) + closure.text(changes, "before"),
        "after": out_links.text(dict(after)) + closure.text(changes, "after"),
    }
    return result


def compare_outputs(nix: Nix, old: str | None, new: str | None) -> list[Change]:
    """What differs between two results that are in the store."""
    if not old or not new or old == new or store.invalid(nix, [old, new]):
        return []
    return closure.compare(closure.sizes(nix, old), closure.sizes(nix, new))


def compare_packages(nix: Nix, old: str | None, new: Sequence[str]) -> list[Change]:
    """What differs between what a derivation in the store is made of and what another one would be: versions alone."""
    if not old or not store.is_valid(nix, old):
        return []
    derivations = store.query(nix, "--requisites", [old])
    return closure.compare(_unbuilt(derivations), _unbuilt(new))


def _unbuilt(paths: Sequence[str]) -> dict[str, int | None]:
    return {path: None for path in paths if path.endswith(".drv")}
