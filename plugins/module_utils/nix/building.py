# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate, build, link: what module nix_build does."""

from __future__ import annotations

from . import closure, looking, out_links, store
from .build_log import BuildLog
from .command import Nix
from .errors import NO_SPACE, NOWHERE, NixError, remedy
from .evaluation import Evaluated, Evaluation, Source, evaluation
from .result import Request, Result, chosen, conclude, of_path

KILLED = (
    "Nix itself was killed by signal {signal}. Signal 9 mostly means that the host ran out of memory: its kernel log tells. "
    "What was built is kept, and a next run goes on from there."
)


def build(nix: Nix, request: Request, check_mode: bool = False) -> Result:
    """Bring about what is wanted; in check mode say what that would take."""
    if request.source.flake and request.evaluate_only and request.out_link:
        raise NixError(
            "Nix makes no link to the derivation of a flake: leave out 'out_link', or build the flake instead of 'evaluate_only'."
        )
    if check_mode:
        return looking.look(nix, request)
    if request.source.derivation:
        return _build_given(nix, request, request.source.derivation)
    if request.source.path:
        return _bring(nix, request, of_path(request.source.path), request.source.path)
    with evaluation(nix, request.source) as expression:
        if request.evaluate_only and not request.source.flake:
            return _evaluate_only(nix, request, expression)
        return _realise(nix, request, Evaluated(*expression.instantiate()))


def _build_given(nix: Nix, request: Request, derivation: str) -> Result:
    path, _mark, output = derivation.partition("!")
    if not store.is_valid(nix, path):
        raise NixError(looking.absent(nix, path))
    return _realise(nix, request, Evaluated(path, output or "out"))


def _evaluate_only(nix: Nix, request: Request, expression: Evaluation) -> Result:
    derivation = expression.foretell()
    links = {request.out_link: derivation} if request.out_link else {}
    before = out_links.read(links)
    known = store.is_valid(nix, derivation)
    if not known or before != links:
        expression.instantiate(request.out_link)
    outputs = store.outputs(nix, derivation)
    return conclude(Result(derivation, outputs, chosen(outputs, "out"), changed=not known), before, links)


def _realise(nix: Nix, request: Request, evaluated: Evaluated) -> Result:
    outputs = store.outputs(nix, evaluated.derivation)
    result = Result(evaluated.derivation, outputs, chosen(outputs, evaluated.output))
    return result if request.evaluate_only else _bring(nix, request, result, evaluated.derivation)


def _bring(nix: Nix, request: Request, result: Result, wanted: str) -> Result:
    """Build or fetch what is wanted, and turn the links to it."""
    request.claim(f"{wanted} {result.out_path}")
    links = out_links.names(request.out_link, result.outputs)
    before = out_links.read(links)
    # Read while the link still keeps it from the garbage collector.
    old = _old_closure(nix, before.get(request.out_link or ""), links.get(request.out_link or ""))
    log = _run(nix, request, wanted)
    result.built, result.fetched = log.built, log.fetched
    result.unpacked_size = sum(store.sizes(nix, log.fetched).values())
    new = closure.sizes(nix, result.out_path) if result.out_path else {}
    result.closure_size = sum(new.values())
    return conclude(result, before, links, [] if old is None else closure.compare(old, new))


def _old_closure(nix: Nix, old: str | None, new: str | None) -> dict[str, int] | None:
    """What the link leads to before it is turned."""
    if not old or not new or old == new or not store.is_valid(nix, old):
        return None
    return closure.sizes(nix, old)


def _run(nix: Nix, request: Request, wanted: str) -> BuildLog:
    root = ("--add-root", request.out_link, "--indirect") if request.out_link else ()
    log = _realise_once(nix, request, wanted, *root)
    if request.rebuild and not log.built:
        # Determinism is tested, nothing is made: this does not count as a change.
        _realise_once(nix, request, wanted, "--check")
    return log


def _realise_once(nix: Nix, request: Request, wanted: str, *arguments: str) -> BuildLog:
    log = BuildLog(keep=request.log_lines, watch=nix.watch)
    answer = nix.follow("nix-store", "--realise", "--log-format", "internal-json", wanted, *arguments, listen=log.line)
    if answer.code:
        raise _failure(nix, request.source, log, answer.code)
    return log


def _failure(nix: Nix, source: Source, log: BuildLog, code: int) -> NixError:
    failed = log.failed
    tail = [line for derivation in failed for line in log.tail(derivation)]
    # A builder's own words count too: cp inside a build says it first when a disk is full.
    hint = remedy(log.words, nix.host) or (remedy(NO_SPACE, nix.host) if NO_SPACE in "\n".join(tail) else "")
    last = "\n".join(["", "Last lines of its log:", *tail]) if tail else ""
    if source.path and not hint:
        hint = remedy(NOWHERE, nix.host)  # Nix says no more than that the path could not be had
    words = KILLED.format(signal=-code) if code < 0 else log.words
    hint = f"\n{hint.strip()}" if hint and "\n" in words else hint
    return NixError(
        f"The build of {source} failed on {nix.host}: {words}{hint}{last}",
        failed_derivations=failed,
        log=tail,
        built=log.built,
    )
