# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stage found, and the table of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """The counts of one stage. A stage that ran nothing has not passed."""

    stage: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.failed == 0 and self.passed > 0

    def add_failure(self, name: str) -> None:
        self.failed += 1
        self.failures.append(name)


def table(outcomes: list[Outcome]) -> str:
    """A line for each stage, the failures by name, and the sum as the closing line."""
    lines = [f"{'stage':<12} {'seconds':>8} {'passed':>7} {'failed':>7} {'skipped':>8}"]
    for outcome in outcomes:
        verdict = "" if outcome.good else "  <- failed" if outcome.failed else "  <- nothing ran"
        lines.append(
            f"{outcome.stage:<12} {outcome.seconds:>8.1f} {outcome.passed:>7} {outcome.failed:>7} {outcome.skipped:>8}{verdict}"
        )
    lines.extend(f"failed: {outcome.stage}: {name}" for outcome in outcomes for name in outcome.failures)
    seconds = sum(outcome.seconds for outcome in outcomes)
    skipped = sum(outcome.skipped for outcome in outcomes)
    lines.append(f"{seconds:.0f} seconds in all" + (f", {skipped} skipped" if skipped else ""))
    passed = sum(outcome.passed for outcome in outcomes)
    lines.append(f"{passed} passed, {failed_in_all(outcomes)} failed")
    return "\n".join(lines)


def failed_in_all(outcomes: list[Outcome]) -> int:
    """A stage in which nothing ran counts as one failure, so that the closing line never looks better than the run."""
    return sum(outcome.failed if outcome.failed or outcome.passed else 1 for outcome in outcomes)
