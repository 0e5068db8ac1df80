# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy closures to another host: what module nix_copy does."""

from __future__ import annotations

from collections.abc import Sequence

from . import store
from .build_log import BuildLog
from .command import Answer, Nix
from .errors import NixError, essence, plain, remedy
from .ssh import Peer


def copy(nix: Nix, paths: Sequence[str], peer: Peer, substitute: bool = False, check_mode: bool = False) -> list[str]:
    """Bring paths and all they need to the other host; what it lacked."""
    if not paths:
        return []
    if check_mode:
        return lacking(nix, paths, peer)
    answer = nix.run(
        "nix-copy-closure",
        *("--log-format", "internal-json"),
        *(["--use-substitutes"] if substitute else []),
        *("--to", peer.login),
        *paths,
        environment=peer.environment(),
    )
    log = BuildLog(answer.err)
    if answer.code:
        raise _failure(nix, peer, log.words)
    return log.copied


def lacking(nix: Nix, paths: Sequence[str], peer: Peer) -> list[str]:
    """What the other host lacks. A valid path has its whole closure, so most questions need not be asked."""
    if not _invalid(nix, paths, peer):
        return []
    if not all(store.is_valid(nix, path) for path in paths):
        # In check mode, what makes them has not run either.
        return list(paths)
    closure = nix.run("nix-store", "--query", "--requisites", *paths)
    if closure.code:
        raise NixError(
            f"Nix on {nix.host} cannot read {' '.join(paths)}: {essence(closure.err)}", stderr=plain(closure.err)
        )
    return _invalid(nix, closure.lines, peer)


def _invalid(nix: Nix, paths: Sequence[str], peer: Peer) -> list[str]:
    question = ("--store", peer.store, "--check-validity", "--print-invalid", *paths)
    answer: Answer = nix.run("nix-store", *question, environment=peer.environment())
    if answer.code:
        raise _failure(nix, peer, plain(answer.err).strip())
    return answer.lines


def _failure(nix: Nix, peer: Peer, words: str) -> NixError:
    hint = remedy(words, peer.login)
    if not hint and "is not valid" in words:
        hint = f" The path is not in the store of {nix.host}: build or evaluate there first."
    return NixError(f"Copying from {nix.host} to {peer.to} failed: {words}{hint}")
