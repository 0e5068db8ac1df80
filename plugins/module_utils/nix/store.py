# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store says of derivations and paths."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from .command import Nix
from .errors import NOWHERE, RETRYING, NixError, essence, plain, remedy

HASH_LENGTH = 32
BUILD_LIST = re.compile(r"(these \d+ derivations|this derivation) will be built")
FETCH_LIST = re.compile(r"(these \d+ paths|this path) will be fetched")
# 2.8 and 2.26 always say MiB, later ones the unit that fits.
FETCH_SIZES = re.compile(r"\((?P<download>[\d.]+ [KMGT]?i?B) download, (?P<unpacked>[\d.]+ [KMGT]?i?B) unpacked\)")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
# A command line has room for some megabytes; a path takes about a hundred bytes.
PATHS_AT_ONCE = 1000


@dataclasses.dataclass
class Missing:
    """What a store lacks for a derivation's outputs, and how Nix would get it."""

    built: list[str] = dataclasses.field(default_factory=list)
    fetched: list[str] = dataclasses.field(default_factory=list)
    download_size: int = 0
    unpacked_size: int = 0


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
    return outputs_by_name(derivation, query(nix, "--outputs", [derivation]))


def query(nix: Nix, question: str, paths: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """The lines that nix-store --query answers."""
    found: list[str] = []
    for some in _portions(paths):
        answer = nix.run("nix-store", "--query", question, *some, environment=environment)
        if answer.code:
            raise NixError(
                f"Nix on {nix.host} cannot read {' '.join(some[:3])}: {essence(answer.err)}{remedy(answer.err, nix.host)}",
                stderr=plain(answer.err),
            )
        found += answer.lines
    return found


def is_valid(nix: Nix, path: str) -> bool:
    """Whether the store has a path."""
    return nix.run("nix-store", "--check-validity", path).code == 0


def invalid(nix: Nix, paths: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Those of the paths that the store has not."""
    found: list[str] = []
    for some in _portions(paths):
        answer = nix.run("nix-store", "--check-validity", "--print-invalid", *some, environment=environment)
        if answer.code:
            text = plain(answer.err).strip()
            raise NixError(f"Nix on {nix.host} cannot look for {some[0]}: {text}{remedy(text, nix.host)}")
        found += answer.lines
    return found


def sizes(nix: Nix, paths: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, int]:
    """Bytes of each path as an archive: what Nix calls its NAR size."""
    return dict(zip(paths, map(int, query(nix, "--size", paths, environment))))


def missing(nix: Nix, derivation: str, environment: Mapping[str, str] | None = None) -> Missing:
    """What would be built and what would be fetched."""
    answer = nix.run("nix-store", "--realise", "--dry-run", derivation, environment=environment)
    # Of a path that is nowhere a dry run only says so, and succeeds.
    if answer.code or NOWHERE in answer.err:
        lines = [line for line in plain(answer.err).strip().splitlines() if RETRYING not in line]
        text = "\n".join(lines) if NOWHERE in answer.err else essence(answer.err)
        hint = remedy(text, nix.host).replace(" ", "\n" if "\n" in text else " ", 1)
        raise NixError(f"Nix on {nix.host} cannot build {derivation}: {text}{hint}", stderr=plain(answer.err))
    return read_dry_run(answer.err)


def read_dry_run(text: str) -> Missing:
    """The two lists that nix-store --dry-run prints."""
    found = Missing()
    current: list[str] | None = None
    for line in plain(text).splitlines():
        if BUILD_LIST.match(line):
            current = found.built
        elif FETCH_LIST.match(line):
            current = found.fetched
            size = FETCH_SIZES.search(line)
            if size:
                found.download_size, found.unpacked_size = read_size(size["download"]), read_size(size["unpacked"])
        elif not line.startswith("  "):
            current = None
        elif current is not None:
            current.append(line.strip())
    return found


def read_size(text: str) -> int:
    """Bytes of a text like "1.25 MiB", as far as it was not rounded."""
    number, unit = text.split()
    return round(float(number) * UNITS[unit])


def _portions(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(paths), PATHS_AT_ONCE):
        yield paths[begin : begin + PATHS_AT_ONCE]
