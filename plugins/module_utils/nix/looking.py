# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode of module nix_build: what a real run would come to, with nothing written to any store but a temporary one."""

from __future__ import annotations

from . import closure, out_links, store
from .command import Nix
from .evaluation import Evaluated, Evaluation, evaluation
from .forecast import Foretold, forecast
from .result import Request, Result, chosen, compare_outputs, compare_packages, conclude, of_path


def look(nix: Nix, request: Request) -> Result:
    """What would be built and fetched, and what would change."""
    if request.source.derivation:
        path, _mark, output = request.source.derivation.partition("!")
        return _given(nix, request, Evaluated(path, output or "out"))
    if request.source.path:
        result = of_path(request.source.path)
        result.take(store.missing(nix, request.source.path))
        return _with_links(nix, request, result, [])
    with evaluation(nix, request.source) as expression:
        return _evaluated(nix, request, expression)


def _given(nix: Nix, request: Request, evaluated: Evaluated) -> Result:
    if not store.is_valid(nix, evaluated.derivation):
        # Whatever brings it there has not run either.
        return Result(
            evaluated.derivation,
            {},
            None,
            built=[evaluated.derivation],
            changed=True,
            warnings=[absent(nix, evaluated.derivation)],
        )
    outputs = store.outputs(nix, evaluated.derivation)
    result = Result(evaluated.derivation, outputs, chosen(outputs, evaluated.output))
    result.take(store.missing(nix, evaluated.derivation))
    packages = store.query(nix, "--requisites", [evaluated.derivation])
    return _with_links(nix, request, result, packages)


def absent(nix: Nix, derivation: str) -> str:
    """What to do about a derivation that is not there."""
    return f"{derivation} is not in the store of {nix.host}. Module nixmetal.builders.nix_copy brings it there."


def _evaluated(nix: Nix, request: Request, expression: Evaluation) -> Result:
    with forecast(nix, request.target) as ahead:
        foretold = ahead.evaluate(expression)
        outputs = foretold.outputs
        result = Result(foretold.derivation, outputs, chosen(outputs, foretold.output))
        result.take(ahead.missing(foretold.derivation))
    if request.evaluate_only:
        return _as_derivation(nix, request, result, foretold)
    return _with_links(nix, request, result, foretold.packages)


def _as_derivation(nix: Nix, request: Request, result: Result, foretold: Foretold) -> Result:
    links = {request.out_link: foretold.derivation} if request.out_link else {}
    before = out_links.read(links)
    changes = compare_packages(nix, next(iter(before.values()), None), foretold.packages)
    plan = result.built, result.fetched
    # What is to be built is for another task: here only the derivation is new.
    result.built, result.fetched = [], []
    result.changed = not request.source.flake and not store.is_valid(nix, foretold.derivation)
    conclude(result, before, links, changes)
    result.built, result.fetched = plan
    return _with_plan(result)


def _with_links(nix: Nix, request: Request, result: Result, packages: list[str]) -> Result:
    links = out_links.names(request.out_link, result.outputs)
    before = out_links.read(links)
    old = before.get(request.out_link or "")
    if result.built or result.fetched:
        changes = compare_packages(nix, _deriver(nix, old), packages)
    else:
        changes = compare_outputs(nix, old, result.out_path)
        result.closure_size = sum(closure.sizes(nix, result.out_path).values()) if result.out_path else None
    return _with_plan(conclude(result, before, links, changes))


def _deriver(nix: Nix, output: str | None) -> str | None:
    """The derivation that a result in the store was built from."""
    if not output or not store.is_valid(nix, output):
        return None
    return next(iter(store.query(nix, "--deriver", [output])), None)


def _with_plan(result: Result) -> Result:
    """Let --diff show what is still to be done."""
    lines = []
    if result.built:
        lines += ["to be built:", *(f"  {path}" for path in result.built)]
    if result.fetched:
        sizes = f"{result.download_size} bytes to download, {result.unpacked_size} bytes unpacked"
        lines += [f"to be fetched ({sizes}):", *(f"  {path}" for path in result.fetched)]
    result.diff["prepared"] = "".join(f"{line}\n" for line in lines)
    return result
