# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build's process beside its module run: found again, ended when nobody wants it, never lost without a word."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.job import Answer, Job, key_of

FOR_LONG = 20


def job(tmp_path: Path, lease: float = 60) -> Job:
    return Job(str(tmp_path), "key", "build.example.org", lease)


def quick(_job: Job) -> Answer:
    return {"changed": True}


def runs(program: str, tmp_path: Path) -> object:
    """Work that runs a program as a build runs Nix, and leaves its own pid and the program's."""
    script = tmp_path / "nix-store"
    script.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/program.pid\n{program}\n")
    script.chmod(0o755)

    def work(running: Job) -> Answer:
        (tmp_path / "pid").write_text(str(os.getpid()))
        nix = Nix({}, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
        ended = threading.Event()
        threading.Thread(target=running.attend, args=(nix.stop, lambda: {"built": 1}, ended), daemon=True).start()
        return {"code": nix.follow("nix-store", listen=lambda _line: None).code}

    return work


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "Z"


def within(seconds: float, condition: object) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_an_outcome_waits_to_be_asked_for(tmp_path: Path) -> None:
    assert job(tmp_path).start(quick) == {"attached": False, "left": ""}
    for _time in range(2):
        assert job(tmp_path).wait(FOR_LONG) == {"finished": True, "outcome": {"changed": True}}
    assert job(tmp_path).start(quick) == {"attached": False, "left": ""}


def test_a_build_that_runs_is_followed_and_stopped(tmp_path: Path) -> None:
    assert not job(tmp_path).start(runs("exec sleep 60", tmp_path))["attached"]  # type: ignore[arg-type]
    assert job(tmp_path).start(quick)["attached"]
    assert within(FOR_LONG, lambda: job(tmp_path).wait(0).get("progress") == {"built": 1})
    outcome = job(tmp_path).stop(FOR_LONG)["outcome"]
    assert outcome["failed"]
    assert "told to stop" in outcome["msg"]
    assert within(5, lambda: gone(int((tmp_path / "program.pid").read_text())))


def test_a_build_that_nobody_asks_for_ends_and_the_next_run_says_so(tmp_path: Path) -> None:
    job(tmp_path, lease=1).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "key/outcome").exists)
    assert gone(int((tmp_path / "program.pid").read_text()))
    again = job(tmp_path).start(quick)
    assert "nobody had asked for it for 1 seconds" in again["left"]
    assert "goes on from there" in again["left"]


def test_asking_keeps_a_build_alive(tmp_path: Path) -> None:
    job(tmp_path, lease=2).start(runs("exec sleep 4", tmp_path))  # type: ignore[arg-type]
    assert job(tmp_path).wait(FOR_LONG) == {"finished": True, "outcome": {"code": 0}}


def test_a_killed_process_is_not_waited_for(tmp_path: Path) -> None:
    job(tmp_path).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "program.pid").exists)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    answer = job(tmp_path).wait(FOR_LONG)
    assert "build.example.org is gone without a word: it was killed" in answer["outcome"]["msg"]
    os.kill(int((tmp_path / "program.pid").read_text()), signal.SIGKILL)


def test_nix_s_own_words_reach_who_asks(tmp_path: Path) -> None:
    def fails(_job: Job) -> Answer:
        raise NixError("no luck", log=["a"])

    def breaks(_job: Job) -> Answer:
        raise ZeroDivisionError

    job(tmp_path).start(fails)
    assert job(tmp_path).wait(FOR_LONG)["outcome"] == {"failed": True, "msg": "no luck", "log": ["a"]}
    job(tmp_path).start(breaks)
    assert "ZeroDivisionError" in job(tmp_path).wait(FOR_LONG)["outcome"]["exception"]


def test_what_is_known_is_the_user_s_own_and_swept_a_day_later(tmp_path: Path) -> None:
    job(tmp_path).start(quick)
    job(tmp_path).wait(FOR_LONG)
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    day = time.time() - 90_000
    os.utime(tmp_path / "key/asked", (day, day))
    Job(str(tmp_path), "other", "h").start(quick)
    assert not (tmp_path / "key").exists()


def test_the_same_options_are_the_same_build() -> None:
    assert key_of({"a": 1, "b": {"c": None}}) == key_of({"b": {"c": None}, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


@pytest.mark.parametrize("ask", [lambda nix: nix.run("nix-store"), lambda nix: nix.follow("nix-store", listen=print)])
def test_a_stopped_nix_starts_nothing_more(ask: object) -> None:
    nix = Nix({})
    nix.stop("enough")
    with pytest.raises(NixError, match="enough"):
        ask(nix)  # type: ignore[operator]
