# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store says of derivations and paths."""

from __future__ import annotations

import re

from .command import Nix
from .errors import NixError, essence, plain, remedy

HASH_LENGTH = 32
BUILD_LIST = re.compile(r"(these \d+ derivations|this derivation) will be built")
FETCH_LIST = re.compile(r"(these \d+ paths|this path) will be fetched")


def name_of(path: str) -> str:
    """The name in /nix/store/HASH-NAME."""
    return path.rsplit("/", 1)[-1][HASH_LENGTH + 1 :]


def outputs_by_name(derivation: str, paths: list[str]) -> dict[str, str]:
    """Output names of paths: NAME is "out", NAME-dev is "dev"."""
    name = name_of(derivation)[: -len(".drv")]
    found = {name_of(path)[len(name) + 1 :] or "out": path for path in paths}
    # "out" first, then by name, whatever order Nix prints them in.
    return dict(sorted(found.items(), key=lambda item: (item[0] != "out", item[0])))


def outputs(nix: Nix, derivation: str) -> dict[str, str]:
    """Output names and paths of a derivation in the store."""
    answer = nix.run("nix-store", "--query", "--outputs", derivation)
    if answer.code:
        raise NixError(f"Nix on {nix.host} cannot read {derivation}: {essence(answer.err)}", stderr=plain(answer.err))
    return outputs_by_name(derivation, answer.lines)


def is_valid(nix: Nix, path: str) -> bool:
    """Whether the store has a path."""
    return nix.run("nix-store", "--check-validity", path).code == 0


def missing(nix: Nix, derivation: str) -> tuple[list[str], list[str]]:
    """What would be built and what would be fetched."""
    answer = nix.run("nix-store", "--realise", "--dry-run", derivation)
    if answer.code:
        text = essence(answer.err)
        raise NixError(
            f"Nix on {nix.host} cannot build {derivation}: {text}{remedy(text, nix.host)}", stderr=plain(answer.err)
        )
    return read_dry_run(answer.err)


def read_dry_run(text: str) -> tuple[list[str], list[str]]:
    """The two lists that nix-store --dry-run prints."""
    lists: dict[str, list[str]] = {"built": [], "fetched": [], "": []}
    current = ""
    for line in plain(text).splitlines():
        if BUILD_LIST.match(line):
            current = "built"
        elif FETCH_LIST.match(line):
            current = "fetched"
        elif line.startswith("  "):
            lists[current].append(line.strip())
        else:
            current = ""
    return lists["built"], lists["fetched"]
