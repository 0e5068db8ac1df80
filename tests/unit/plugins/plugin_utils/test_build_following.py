# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A followed build, with a host that answers from a script."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.nixmetal.builders.plugins.plugin_utils import build_following, progress_lines
from ansible_collections.nixmetal.builders.plugins.plugin_utils.build_following import Following

PROGRESS = {
    "built": 3, "to_build": 40, "copied": 2, "to_copy": 5, "bytes_done": 1_500_000, "bytes_total": 9_000_000,
    "names": ["linux-6.1", "zfs"], "running": 4, "waiting": False, "seconds": 95.0,
}  # fmt: skip
RUNS = {"finished": False, "progress": PROGRESS, "attached": False, "left": ""}
ENDED = {"finished": True, "outcome": {"changed": True}, "attached": False, "left": ""}
BROKEN = AnsibleConnectionFailure("Connection reset")


class Host:
    """Answers in turn; the last answer for ever."""

    name = "build"

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.seconds: list[float] = []
        self.runs: set[str] = set()
        self.resets = 0

    def run(self, _module: str, within: float, **arguments: Any) -> dict[str, Any]:
        # The module waits so long by itself, and a busy host takes its time to start it.
        assert len(self.asked) < 100, "it never gives up"
        assert within == build_following.ANSWER_SECONDS + arguments["seconds"]
        self.asked.append(arguments["operation"])
        self.seconds.append(arguments["seconds"])
        self.runs.add(arguments["run"])
        assert ("build" in arguments) == (arguments["operation"] == "start")
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_following, "PAUSE", 0.0)


def follow(host: Host, patience: float = 5.0) -> tuple[dict[str, Any], list[str], list[dict[str, Any]]]:
    said: list[str] = []
    shown: list[dict[str, Any]] = []
    following = Following(host, {"file": "/x"}, 10, said.append, shown.append, patience)  # type: ignore[arg-type]
    return following.run(), said, shown


def test_a_quick_build_is_asked_for_once_and_shows_nothing() -> None:
    host = Host(ENDED)
    assert follow(host) == ({"changed": True}, [], [])
    assert host.asked == ["start"]


def test_a_long_build_shows_how_far_it_is() -> None:
    host = Host(RUNS, RUNS, ENDED)
    assert follow(host) == ({"changed": True}, [], [PROGRESS, PROGRESS])
    assert host.seconds == [2, 10, 10]  # the first line comes soon


def test_no_two_runs_have_one_name() -> None:
    first, second = Host(ENDED), Host(ENDED)
    follow(first)
    follow(second)
    assert not first.runs & second.runs


def test_a_broken_connection_is_taken_up_again() -> None:
    host = Host(BROKEN, RUNS, BROKEN, BROKEN, ENDED)
    outcome, _said, _shown = follow(host)
    assert outcome == {"changed": True}
    assert host.asked == ["start", "start", "wait", "wait", "wait"]
    assert host.resets == 3
    # Else the host could not tell a start that is said again from another one.
    assert len(host.runs) == 1


def test_a_connection_that_stays_away_is_explained_and_the_build_left_alone() -> None:
    host = Host(RUNS, BROKEN)
    with pytest.raises(
        AnsibleConnectionFailure, match=r"connection to build was lost .*Connection reset.*Run this again"
    ):
        follow(host, patience=0.0)
    assert "stop" not in host.asked


def test_an_earlier_run_is_spoken_of() -> None:
    assert follow(Host({**RUNS, "left": "it was left alone"}, ENDED))[1] == [
        "build: of an earlier run that nobody saw end: it was left alone"
    ]
    assert "runs already" in follow(Host({**RUNS, "attached": True}, ENDED))[1][0]


def test_an_earlier_run_is_spoken_of_once_and_also_when_it_is_met_later() -> None:
    follows = {**RUNS, "attached": True}
    said = follow(Host(RUNS, follows, follows, {**ENDED, "attached": True}))[1]
    assert said == ["build: this build runs already, begun by an earlier run: following it"]


@pytest.mark.parametrize("start", [[RUNS], [BROKEN, {**RUNS, "attached": True}]])
def test_a_build_is_told_to_stop_when_the_task_is(start: list[Any]) -> None:
    """Whose it is the host knows, also when the answer to the first start was lost."""
    host = Host(*start, KeyboardInterrupt(), ENDED)
    with pytest.raises(KeyboardInterrupt):
        follow(host)
    assert host.asked == [*["start"] * len(start), "wait", "stop"]
    assert len(host.runs) == 1
    # The connection may be what broke, so the stop takes a new one.
    assert host.resets == len(start)


def test_a_host_that_is_gone_does_not_hide_why_the_task_ended() -> None:
    said: list[str] = []
    host = Host(RUNS, KeyboardInterrupt(), BROKEN)
    with pytest.raises(KeyboardInterrupt):
        Following(host, {"file": "/x"}, 10, said.append, lambda _progress: None).run()  # type: ignore[arg-type]
    assert said == ["build: could not be told to stop; a build there ends by itself within five minutes"]


@pytest.mark.parametrize("start", [[], [RUNS]])
def test_a_step_that_fails_is_told_and_the_build_stopped(start: list[Any]) -> None:
    failed = {"failed": True, "msg": "no such option"}
    host = Host(*start, failed, ENDED)
    outcome, said, _shown = follow(host)
    assert (outcome, said) == (failed, [])
    assert host.asked[-1] == "stop"
    unheard = Host(*start, failed)
    assert follow(unheard)[1] == ["build: could not be told to stop; a build there ends by itself within five minutes"]


def test_a_line_has_counts_bytes_names_and_time() -> None:
    assert progress_lines.build_line("build", PROGRESS) == (
        "build: 3 of 40 built, 2 of 5 copied, 1.5 MB of 9.0 MB, linux-6.1, zfs and 2 more (1 min 35 s)"
    )
    nothing = {**PROGRESS, "to_build": 0, "to_copy": 0, "bytes_total": 0, "names": [], "running": 0}
    assert progress_lines.build_line("build", nothing) == "build: looking at what is there (1 min 35 s)"
    waiting = {**PROGRESS, "waiting": True, "names": ["zfs"], "running": 1}
    assert progress_lines.build_line("build", waiting).endswith(", waiting for another build: zfs (1 min 35 s)")
    assert progress_lines.build_line("build", {}) == "build: evaluating"
