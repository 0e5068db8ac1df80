# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate, build, link: what module nix_build does."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import out_links, store
from .build_log import BuildLog
from .command import Nix
from .errors import NO_SPACE, NixError, remedy
from .evaluation import Evaluated, Evaluation, Source, evaluation


@dataclasses.dataclass(frozen=True)
class Request:
    """What is wanted."""

    source: Source
    evaluate_only: bool = False
    out_link: str | None = None
    rebuild: bool = False
    log_lines: int = 40


@dataclasses.dataclass
class Result:
    """What was done, or would be."""

    derivation: str
    outputs: dict[str, str]
    out_path: str | None
    built: list[str] = dataclasses.field(default_factory=list)
    fetched: list[str] = dataclasses.field(default_factory=list)
    changed: bool = False
    diff: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def public(self) -> dict[str, Any]:
        """As the module returns it."""
        return dataclasses.asdict(self)


def build(nix: Nix, request: Request, check_mode: bool = False) -> Result:
    """Bring about what is wanted; in check mode say what that would take."""
    if request.source.derivation:
        return _build_given(nix, request, request.source.derivation, check_mode)
    if request.source.flake and request.evaluate_only and request.out_link:
        raise NixError(
            "Nix makes no link to the derivation of a flake: leave out 'out_link', or build the flake instead of 'evaluate_only'."
        )
    with evaluation(nix, request.source) as expression:
        if request.source.flake:
            return _realise(nix, request, Evaluated(*expression.instantiate()), check_mode)
        if request.evaluate_only:
            return _evaluate_only(nix, request, expression, check_mode)
        if check_mode:
            return _foretell(nix, request, expression)
        return _realise(nix, request, Evaluated(*expression.instantiate()), check_mode)


def _build_given(nix: Nix, request: Request, derivation: str, check_mode: bool) -> Result:
    path, _mark, output = derivation.partition("!")
    if store.is_valid(nix, path):
        return _realise(nix, request, Evaluated(path, output or "out"), check_mode)
    missing = f"{path} is not in the store of {nix.host}. Module nixmetal.builders.nix_copy brings it there."
    if check_mode:
        # Whatever brings it there has not run either.
        return Result(path, {}, None, built=[path], changed=True, warnings=[missing])
    raise NixError(missing)


def _evaluate_only(nix: Nix, request: Request, expression: Evaluation, check_mode: bool) -> Result:
    derivation = expression.foretell()
    links = {request.out_link: derivation} if request.out_link else {}
    before = out_links.read(links)
    known = store.is_valid(nix, derivation)
    if not check_mode and (not known or before != links):
        expression.instantiate(request.out_link)
    outputs = store.outputs(nix, derivation) if known or not check_mode else _foretold_outputs(derivation, expression)
    return _compare(Result(derivation, outputs, _chosen(outputs, "out"), changed=not known), before, links)


def _foretold_outputs(derivation: str, expression: Evaluation) -> dict[str, str]:
    return store.outputs_by_name(derivation, expression.foretell_outputs())


def _foretell(nix: Nix, request: Request, expression: Evaluation) -> Result:
    derivation = expression.foretell()
    if store.is_valid(nix, derivation):
        return _realise(nix, request, Evaluated(derivation, "out"), check_mode=True)
    # Its inputs are not in the store either, so Nix cannot say which of them would be built: it itself, at least.
    outputs = _foretold_outputs(derivation, expression)
    links = out_links.names(request.out_link, outputs)
    result = Result(derivation, outputs, _chosen(outputs, "out"), built=[derivation])
    return _compare(result, out_links.read(links), links)


def _realise(nix: Nix, request: Request, evaluated: Evaluated, check_mode: bool) -> Result:
    outputs = store.outputs(nix, evaluated.derivation)
    result = Result(evaluated.derivation, outputs, _chosen(outputs, evaluated.output))
    if request.evaluate_only:
        return result
    links = out_links.names(request.out_link, outputs)
    before = out_links.read(links)
    if check_mode:
        result.built, result.fetched = store.missing(nix, evaluated.derivation)
    else:
        log = _run(nix, request, result)
        result.built, result.fetched = log.built, log.fetched
    return _compare(result, before, links)


def _compare(result: Result, before: dict[str, str | None], after: dict[str, str]) -> Result:
    result.changed = bool(result.changed or result.built or result.fetched or before != after)
    result.diff = {"before": out_links.text(before), "after": out_links.text(dict(after))}
    return result


def _chosen(outputs: dict[str, str], output: str) -> str | None:
    return outputs.get(output) or next(iter(outputs.values()), None)


def _run(nix: Nix, request: Request, result: Result) -> BuildLog:
    root = ("--add-root", request.out_link, "--indirect") if request.out_link else ()
    log = _realise_once(nix, request, result.derivation, *root)
    if request.rebuild and not log.built:
        # Determinism is tested, nothing is made: this does not count as a change.
        _realise_once(nix, request, result.derivation, "--check")
    return log


def _realise_once(nix: Nix, request: Request, derivation: str, *arguments: str) -> BuildLog:
    answer = nix.run("nix-store", "--realise", "--log-format", "internal-json", derivation, *arguments)
    log = BuildLog(answer.err, keep=request.log_lines)
    if answer.code:
        raise _failure(nix, request.source, log)
    return log


def _failure(nix: Nix, source: Source, log: BuildLog) -> NixError:
    failed = log.failed
    tail = [line for derivation in failed for line in log.tail(derivation)]
    # A builder's own words count too: cp inside a build says it first when a disk is full.
    hint = remedy(log.words, nix.host) or (remedy(NO_SPACE, nix.host) if NO_SPACE in "\n".join(tail) else "")
    last = "\n".join(["", "Last lines of its log:", *tail]) if tail else ""
    return NixError(
        f"The build of {source} failed on {nix.host}: {log.words}{hint}{last}",
        failed_derivations=failed,
        log=tail,
        built=log.built,
    )
