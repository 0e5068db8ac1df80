# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy closures to another host: what module nix_copy does."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from . import store
from .build_log import BuildLog
from .command import Nix
from .errors import NixError, plain, remedy
from .ssh import Peer


@dataclasses.dataclass
class Copied:
    """What travelled, or would, and what the other host fetched itself. Bytes are those in the store."""

    copied: list[str] = dataclasses.field(default_factory=list)
    bytes_copied: int = 0
    substituted: list[str] = dataclasses.field(default_factory=list)

    def public(self) -> dict[str, Any]:
        """As the module returns it."""
        lines = "".join(f"{path}\n" for path in sorted([*self.copied, *self.substituted]))
        return {
            **dataclasses.asdict(self),
            "changed": bool(self.copied or self.substituted),
            "diff": {"before": "", "after": lines},
        }


def copy(nix: Nix, paths: Sequence[str], peer: Peer, substitute: bool = False, check_mode: bool = False) -> Copied:
    """Bring paths and all they need to the other host."""
    if not paths:
        return Copied()
    before = lacking(nix, paths, peer) if check_mode or substitute else []
    if check_mode:
        return _weighed(nix, Copied(before))
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
    # What was lacking and did not travel came from a binary cache of the other host.
    return _weighed(nix, Copied(log.copied, substituted=[path for path in before if path not in log.copied]))


def lacking(nix: Nix, paths: Sequence[str], peer: Peer) -> list[str]:
    """What the other host lacks. A valid path has its whole closure, so most questions need not be asked."""
    if not _invalid(nix, paths, peer):
        return []
    if not all(store.is_valid(nix, path) for path in paths):
        # In check mode, what makes them has not run either.
        return list(paths)
    return _invalid(nix, store.query(nix, "--requisites", paths), peer)


def _weighed(nix: Nix, copied: Copied) -> Copied:
    absent = set(store.invalid(nix, copied.copied))
    copied.bytes_copied = sum(store.sizes(nix, [path for path in copied.copied if path not in absent]).values())
    return copied


def _invalid(nix: Nix, paths: Sequence[str], peer: Peer) -> list[str]:
    try:
        return store.invalid(nix.having({"store": peer.store}), paths, peer.environment())
    except NixError as error:
        raise _failure(nix, peer, plain(str(error))) from error


def _failure(nix: Nix, peer: Peer, words: str) -> NixError:
    hint = remedy(words, peer.login)
    if not hint and "is not valid" in words:
        hint = f" The path is not in the store of {nix.host}: build or evaluate there first."
    return NixError(f"Copying from {nix.host} to {peer.to} failed: {words}{hint}")
