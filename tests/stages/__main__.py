# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the stages of make test that the command line names, and ends with a table, the counts and an honest exit code.

python tests/stages [--long] STAGE...
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import ansible_tests
import pytests
from coverage_report import coverage
from lint import lint
from outcome import Outcome, table
from scenarios import molecule

BUDGET_SECONDS = 30 * 60


def main() -> int:
    """The stages run one after the other; one that fails does not keep the next from running."""
    arguments = _parser().parse_args()
    stages: dict[str, Callable[[], Outcome]] = {
        "lint": lint,
        "sanity": lambda: ansible_tests.sanity(arguments.long),
        "units": lambda: pytests.units(arguments.long),
        "integration": lambda: ansible_tests.integration(arguments.long),
        "molecule": lambda: molecule(arguments.long),
        "coverage": lambda: coverage(arguments.long),
        "loop": lambda: pytests.loop(arguments.long),
    }
    unknown = [name for name in arguments.stages if name not in stages]
    if unknown:
        sys.exit(f"unknown stage {unknown[0]}: it is one of {', '.join(stages)}")
    outcomes = [_run(name, stages[name]) for name in arguments.stages]
    print(f"\n{table(outcomes)}")
    if not arguments.long and sum(outcome.seconds for outcome in outcomes) > BUDGET_SECONDS:
        print(
            f"more than the budget of {BUDGET_SECONDS // 60} minutes: mark tests as long, or make them faster",
            file=sys.stderr,
        )
    return int(not all(outcome.good for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="with the tests marked long (make check-all)")
    parser.add_argument("stages", nargs="+", metavar="STAGE")
    return parser


def _run(name: str, stage: Callable[[], Outcome]) -> Outcome:
    print(f"=== {name}", flush=True)
    begin = time.monotonic()
    outcome = stage()
    outcome.seconds = time.monotonic() - begin
    print(f"=== {name}: {'passed' if outcome.good else 'FAILED'} in {outcome.seconds:.1f} s", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
