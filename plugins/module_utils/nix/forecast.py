# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an evaluation would lead to, without a trace in the host's store.

The derivations are written into a store of their own in a temporary directory. The store that would be worked in is given to
it as a place to fetch from: so Nix itself tells what is there, what could be fetched and what would have to be built.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping

from . import store
from .command import Nix
from .evaluation import Evaluation
from .store import Missing

# More rounds than outputs that only building brings can lie behind each other in practice.
ROUNDS = 20


@dataclasses.dataclass(frozen=True)
class Target:
    """The store in which it would be built: its URL, and the environment that leads there."""

    url: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Foretold:
    """What a real run would come to."""

    derivation: str
    output: str
    outputs: dict[str, str]
    packages: list[str]  # all derivations that it is made of


class Forecast:
    """A temporary store, and what would be lacking in the real one."""

    def __init__(self, nix: Nix, target: Target, directory: str) -> None:
        self._target = target
        self._real = nix.having({"store": target.url})
        self._scratch = nix.having(
            {
                "store": directory,
                "extra-substituters": target.url,
                "require-sigs": False,
                "fsync-metadata": False,
                # What it imports would have to be built, and a look builds nothing.
                "allow-import-from-derivation": False,
            }
        )

    def evaluate(self, expression: Evaluation) -> Foretold:
        """The derivation and its outputs."""
        derivation, output = expression.using(self._scratch).instantiate()
        outputs = store.outputs(self._scratch, derivation)
        return Foretold(derivation, output, outputs, store.query(self._scratch, "--requisites", [derivation]))

    def missing(self, derivation: str) -> Missing:
        """What the target would have to build and to fetch."""
        for _round in range(ROUNDS):
            found = store.missing(self._scratch, derivation, self._target.environment)
            if not self._take_over(self._built_already(found.built)):
                break
        lacking = set(store.invalid(self._real, found.fetched, self._target.environment))
        there = [path for path in found.fetched if path not in lacking]
        found.fetched = [path for path in found.fetched if path in lacking]
        known = sum(store.sizes(self._real, there, self._target.environment).values())
        # Nix tells the sum, rounded: what is there already is taken off it.
        found.unpacked_size = max(found.unpacked_size - known, 0) if lacking else 0
        return found

    def _built_already(self, derivations: list[str]) -> list[str]:
        """Outputs that the target has, of derivations that forbid to fetch them (allowSubstitutes)."""
        outputs = store.query(self._scratch, "--outputs", derivations)
        lacking = set(store.invalid(self._real, outputs, self._target.environment))
        return [path for path in outputs if path not in lacking]

    def _take_over(self, paths: list[str]) -> bool:
        """Let the temporary store believe that it has the paths, as the target does."""
        if not paths:
            return False
        closure = store.query(self._real, "--requisites", paths, self._target.environment)
        dump = self._real.run("nix-store", "--dump-db", *closure, environment=self._target.environment)
        loaded = self._scratch.run("nix-store", "--load-db", text=dump.out)
        return dump.code == 0 and loaded.code == 0


@contextlib.contextmanager
def forecast(nix: Nix, target: Target) -> Iterator[Forecast]:
    """A look ahead, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="nixmetal-store-") as directory:
        yield Forecast(nix, target, directory)
