# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an expression and its arguments to a derivation."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from .command import Answer, Nix
from .errors import NixError, essence, plain, remedy

# Arguments come as a JSON file, so that each keeps its type and none is ever read as Nix code. The names are unlikely on
# purpose: nix-instantiate would hand them to any function on the attribute path that asks for them.
WRAPPER = """
{ nixmetalSource, nixmetalArguments }:
let
  value = import (/. + nixmetalSource);
  arguments = builtins.fromJSON (builtins.readFile (/. + nixmetalArguments));
in
if builtins.isFunction value then
  value arguments
else if arguments == { } then
  value
else
  throw "the expression takes no arguments, but got ${toString (builtins.attrNames arguments)}"
"""
FLAKE_FEATURES = ("--extra-experimental-features", "nix-command flakes")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the derivation comes from: exactly one of file, expression, flake and derivation; or a path that is fetched."""

    file: str | None = None
    expression: str | None = None
    flake: str | None = None
    derivation: str | None = None
    path: str | None = None
    attr: str | None = None
    args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    search_path: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        what = self.file or self.flake or self.derivation or self.path or "the expression"
        return f"{what} ({self.attr})" if self.attr else what


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A derivation in the store, and the output that was chosen."""

    derivation: str
    output: str


class Evaluation:
    """One expression, with its arguments in a directory of its own for as long as it is evaluated."""

    def __init__(self, nix: Nix, source: Source, directory: str) -> None:
        self._nix = nix
        self._source = source
        self._directory = directory
        self._arguments = os.path.join(directory, "arguments.json")
        self._file = source.file or os.path.join(directory, "expression.nix")

    def instantiate(self, link: str | None = None) -> tuple[str, str]:
        """Write the derivation into the store, and keep it by a link; its path and the chosen output."""
        if self._source.flake:
            return self._of_flake()
        # A root for as long as the directory lives: a collector of garbage may run at any time.
        root = link or os.path.join(self._directory, "root")
        answer = self._call("--add-root", root, "--indirect", *self._attribute())
        line, _mark, output = self._only(answer.lines).partition("!")
        return os.path.realpath(line) if os.path.islink(line) else line, output or "out"

    def using(self, nix: Nix) -> Evaluation:
        """The same expression for a Nix with other settings."""
        return Evaluation(nix, self._source, self._directory)

    def foretell(self) -> str:
        """The derivation's path, without writing anything."""
        return str(json.loads(self._call("--eval", "--json", *self._attribute("drvPath")).out))

    def _attribute(self, *more: str) -> tuple[str, ...]:
        path = ".".join([*([self._source.attr] if self._source.attr else []), *more])
        return ("--attr", path) if path else ()

    def _call(self, *arguments: str) -> Answer:
        search = [word for name, path in self._source.search_path.items() for word in ("-I", f"{name}={path}")]
        answer = self._nix.run(
            "nix-instantiate",
            *search,
            *("--expr", WRAPPER),
            *("--argstr", "nixmetalSource", self._file),
            *("--argstr", "nixmetalArguments", self._arguments),
            *arguments,
        )
        return self._succeeded(answer)

    def _succeeded(self, answer: Answer) -> Answer:
        if answer.code:
            text = essence(answer.err)
            raise NixError(
                f"Evaluation of {self._source} failed on {self._nix.host}: {text}{remedy(answer.err, self._nix.host)}",
                stderr=plain(answer.err),
            )
        return answer

    def _only(self, found: list[str]) -> str:
        if len(found) != 1:
            raise NixError(
                f"{self._source} evaluates to {len(found)} derivations, not to one. Choose one by 'attr'.",
                stderr="\n".join(found),
            )
        return found[0]

    def _of_flake(self) -> tuple[str, str]:
        reference = f"{self._source.flake}#{self._source.attr}" if self._source.attr else str(self._source.flake)
        answer = self._nix.run("nix", *FLAKE_FEATURES, "path-info", "--derivation", "--no-write-lock-file", reference)
        return self._only(self._succeeded(answer).lines).partition("^")[0], "out"


@contextlib.contextmanager
def evaluation(nix: Nix, source: Source) -> Iterator[Evaluation]:
    """The files that Nix reads, readable by nobody else, while the evaluation and the build last."""
    if source.file and not os.path.exists(source.file):
        raise NixError(
            f"There is no {source.file} on {nix.host}. 'file' is a path on that host: copy the expression there first."
        )
    if source.flake and (source.args or source.search_path):
        raise NixError("A flake takes neither 'args' nor 'search_path': it is evaluated by itself.")
    with tempfile.TemporaryDirectory(prefix="nixmetal-") as directory:
        _write(os.path.join(directory, "arguments.json"), json.dumps(dict(source.args)))
        if source.expression is not None:
            _write(os.path.join(directory, "expression.nix"), source.expression)
        yield Evaluation(nix, source, directory)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
