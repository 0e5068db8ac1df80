# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a store: what module nix_store_info tells."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from . import store
from .command import Nix
from .errors import NixError, essence, plain, remedy

Facts = dict[str, Any]
UNKNOWN = "unknown-deriver"


def gather(nix: Nix, paths: Sequence[str], closures: bool, roots: bool) -> Facts:
    """The store itself, and each of the paths; links are followed to what they lead to."""
    directory = _directory(nix)
    return {
        "store_directory": directory,
        "nix_version": nix.run("nix-store", "--version").out.split()[-1],
        **_space(nix, directory),
        "paths": [_path(nix, path, _resolved(directory, path), closures) for path in paths],
        "roots": all_roots(nix) if roots else [],
    }


def all_roots(nix: Nix) -> list[dict[str, str]]:
    """What keeps something from the garbage collector, and what it keeps."""
    answer = nix.run("nix-store", "--gc", "--print-roots")
    if answer.code:
        raise NixError(
            f"Nix on {nix.host} does not tell its roots: {essence(answer.err)}{remedy(answer.err, nix.host)}",
            stderr=plain(answer.err),
        )
    pairs = [line.rpartition(" -> ") for line in answer.lines]
    return [{"root": _unquoted(root), "path": path} for root, _arrow, path in pairs if root]


def _unquoted(name: str) -> str:
    """A file's name as Nix prints it; 2.34 puts it into quotation marks."""
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


def _path(nix: Nix, name: str, path: str, closures: bool) -> Facts:
    known: Facts = {"name": name, "path": path, "valid": store.is_valid(nix, path)}
    if not known["valid"]:
        return known
    requisites = store.query(nix, "--requisites", [path])
    sizes = store.sizes(nix, requisites)
    [digest] = store.query(nix, "--hash", [path])
    [deriver] = store.query(nix, "--deriver", [path])
    known.update(
        size=sizes[path],
        hash=digest,
        deriver=None if deriver == UNKNOWN else deriver,
        references=store.query(nix, "--references", [path]),
        closure_size=sum(sizes.values()),
        closure_count=len(sizes),
    )
    if closures:
        known["closure"] = [{"path": each, "size": sizes[each]} for each in requisites]
    return known


def _directory(nix: Nix) -> str:
    answer = nix.run("nix-instantiate", "--eval", "--json", "--expr", "builtins.storeDir")
    if answer.code:
        raise NixError(
            f"Nix on {nix.host} does not tell where its store is: {essence(answer.err)}{remedy(answer.err, nix.host)}",
            stderr=plain(answer.err),
        )
    return str(json.loads(answer.out))


def _resolved(directory: str, path: str) -> str:
    """The store path itself, behind links to it and without what lies inside it."""
    real = path if path.startswith(f"{directory}/") else os.path.realpath(path)
    if not real.startswith(f"{directory}/"):
        raise NixError(f"{path} neither is in the store {directory} nor leads there.")
    return os.path.join(directory, real[len(directory) + 1 :].split("/")[0])


def _space(nix: Nix, directory: str) -> dict[str, int]:
    try:
        found = os.statvfs(directory)
    except FileNotFoundError as missing:
        raise NixError(f"There is no {directory} on {nix.host}: role nix_host makes the store.") from missing
    return {
        "free_bytes": found.f_bavail * found.f_frsize,
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_inodes": found.f_favail,
    }
