# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests marked long belong to make check-all alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible_tests
import ansible_versions
import nix_root
import pytest
import pytests


@pytest.mark.parametrize(("long", "runs"), [(False, False), (True, True)])
def test_long_tests_run_when_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, long: bool, runs: bool
) -> None:
    commands: list[list[str]] = []

    def note(command: list[str], *_rest: Any) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(pytests, "run", note)
    monkeypatch.setattr(pytests, "CACHE", tmp_path)
    pytests.loop(long)
    (command,) = commands
    assert ("not long" in command) is not runs


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """What ansible-test is asked for, with the folder before PATH last; the newest Nix fails one target."""
    runs: list[tuple[str, ...]] = []

    def answer(*words: str, before: str = "") -> tuple[int, str]:
        runs.append((*words, before))
        failed = "The 1 integration test(s) listed below (out of 3) failed. See above.\nnix_copy\n"
        started = "".join(f"Running {name} integration test role\n" for name in ansible_tests.NIX_TARGETS)
        return (1, started + failed) if nix_root.NEWEST in before else (0, started)

    monkeypatch.setattr(ansible_tests, "_ansible_test", answer)
    monkeypatch.setattr(ansible_tests, "_nix", lambda: "")
    monkeypatch.setattr(nix_root, "provide", lambda suite=nix_root.OLDEST: tmp_path / suite)
    monkeypatch.setattr(nix_root, "on_path", lambda root: root)
    return runs


def test_the_targets_of_nix_run_by_newer_versions_when_asked(runs: list[tuple[str, ...]]) -> None:
    outcome = ansible_tests.integration(long=True)
    assert [run[-1].rpartition("/")[2] for run in runs] == ["", nix_root.NEWER, nix_root.NEWEST]
    assert all(set(ansible_tests.NIX_TARGETS) < set(run) for run in runs[1:])
    assert (outcome.passed, outcome.failures) == (8, [f"nix_copy (Nix of {nix_root.NEWEST})"])


def test_a_newer_nix_that_cannot_be_had_is_a_failure(
    runs: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nix_root, "provide", lambda suite: None)
    assert ansible_tests.integration(long=True).failed == 2
    assert len(runs) == 1


def test_make_test_runs_every_target_once(runs: list[tuple[str, ...]]) -> None:
    assert ansible_tests.integration(long=False).passed == 3
    assert len(runs) == 1


def test_check_all_asks_other_versions_of_ansible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Path] = []

    def answer(*_words: str, tools: Path) -> tuple[int, str]:
        asked.append(tools)
        failed = "The 1 sanity test(s) listed below (out of 1) failed. See above.\npep8\n"
        started = "Running sanity test pep8\n"
        return (1, started + failed) if tools.parent.name == "newest" else (0, started)

    made = [("oldest", None), ("newest", tmp_path / "newest" / "bin")]
    monkeypatch.setattr(ansible_tests, "_ansible_test", answer)
    monkeypatch.setattr(ansible_versions, "environments", lambda: made)
    outcome = ansible_tests.sanity(long=True)
    assert (outcome.passed, outcome.skipped, outcome.failures) == (1, 1, ["pep8 (newest ansible-core)"])
    assert len(asked) == 2
    asked.clear()
    assert ansible_tests.sanity(long=False).good
    assert len(asked) == 1


def test_the_oldest_ansible_is_what_the_collection_allows() -> None:
    assert ansible_versions.least() == "2.19.0"
