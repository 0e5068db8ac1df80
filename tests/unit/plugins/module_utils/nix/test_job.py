# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build's process beside its module run: found again, ended when nobody wants it, never lost without a word."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import command
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.job import CLAIMS, FOLLOWS, STOPPED, Answer, Job

FOR_LONG = 20
ENDED = {"attached": False, "left": ""}


def job(tmp_path: Path, lease: float = 60, run: str = "first") -> Job:
    return Job(str(tmp_path), run, "build.example.org", lease)


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


def following(tmp_path: Path, run: str) -> Job:
    """Another run, which follows the first."""
    follower = job(tmp_path, run=run)
    follower.start(lambda _job: {FOLLOWS: "first"} if job(tmp_path).follow(run) else {"msg": "nothing to follow"})
    return follower


def test_an_outcome_waits_to_be_asked_for(tmp_path: Path) -> None:
    job(tmp_path).start(quick)
    for _time in range(2):
        assert job(tmp_path).wait(FOR_LONG) == {"finished": True, "outcome": {"changed": True}, **ENDED}


def test_a_start_whose_answer_was_lost_is_said_again_without_harm(tmp_path: Path) -> None:
    job(tmp_path).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "program.pid").exists)
    job(tmp_path).start(quick)
    assert not job(tmp_path).wait(0)["finished"]
    job(tmp_path).stop(FOR_LONG)
    job(tmp_path).start(quick)
    assert job(tmp_path).wait(0)["outcome"]["failed"]


def test_a_run_that_follows_sees_what_the_first_sees(tmp_path: Path) -> None:
    job(tmp_path).start(runs("exec sleep 2", tmp_path))  # type: ignore[arg-type]
    second = following(tmp_path, "second")
    assert within(FOR_LONG, lambda: second.wait(0).get("progress") == {"built": 1})
    assert second.wait(FOR_LONG) == {"finished": True, "outcome": {"code": 0}, "attached": True, "left": ""}


def test_a_build_ends_when_the_last_run_that_wants_it_goes(tmp_path: Path) -> None:
    job(tmp_path).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "program.pid").exists)
    second = following(tmp_path, "second")
    assert within(FOR_LONG, lambda: second.wait(0)["attached"])
    assert job(tmp_path).stop(FOR_LONG) == {}, "it waits for the end of a build that another run wants"
    time.sleep(2.5)  # it looks every second who wants it
    assert not second.wait(0)["finished"]
    outcome = second.stop(FOR_LONG)["outcome"]
    assert outcome["failed"]
    assert "told to stop" in outcome["msg"]
    assert within(5, lambda: gone(int((tmp_path / "program.pid").read_text())))


def test_what_is_about_to_end_is_not_followed(tmp_path: Path) -> None:
    slow = "trap 'trap : TERM; sleep 2; kill $!; exit 1' TERM; sleep 60 & wait"
    job(tmp_path).start(runs(slow, tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "program.pid").exists)
    job(tmp_path).stop(0)
    assert within(FOR_LONG, (tmp_path / "first/ending").exists)
    assert not (tmp_path / "first/outcome").exists(), "the trap was not reached"
    assert not job(tmp_path).follow("second")
    assert job(tmp_path).wait(FOR_LONG)["finished"]
    assert not job(tmp_path).follow("second")


def look_slowly(each: Job, begun: Path) -> int:
    """A process that looks whether there is one, and takes its time while it has the lock."""
    child = os.fork()
    if child:
        return child
    lock = fcntl.flock

    def slowly(descriptor: int, operation: int) -> None:
        lock(descriptor, operation)
        if operation & fcntl.LOCK_NB:
            begun.touch()
            time.sleep(1)

    fcntl.flock = slowly
    try:
        each.follow("other")
    finally:
        os._exit(0)


def test_a_look_is_never_taken_for_a_process(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    looking = look_slowly(job(tmp_path), tmp_path / "looking")
    assert within(FOR_LONG, (tmp_path / "looking").exists)
    job(tmp_path).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    os.waitpid(looking, 0)
    assert job(tmp_path).follow("second"), "the build's process is not seen to live"
    (tmp_path / "first/asked.second").unlink()
    assert job(tmp_path).stop(FOR_LONG)["outcome"]["failed"]


def test_a_build_that_nobody_asks_for_ends(tmp_path: Path) -> None:
    job(tmp_path, lease=1).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "first/outcome").exists)
    assert gone(int((tmp_path / "program.pid").read_text()))
    assert "nobody had asked for it for 1 seconds" in job(tmp_path).wait(0)["outcome"]["msg"]


def test_the_next_run_says_how_the_last_one_ended_unless_it_was_seen(tmp_path: Path) -> None:
    def fails(_job: Job) -> Answer:
        raise NixError("it leaks")

    job(tmp_path).start(fails)
    assert within(FOR_LONG, (tmp_path / "first/outcome").exists)
    for seen, left in ((False, "it leaks"), (True, "")):
        second = job(tmp_path, run=f"second{seen}")
        second.start(lambda running: running.note_left(job(tmp_path)) or {"changed": False})  # type: ignore[func-returns-value]
        assert second.wait(FOR_LONG)["left"] == left
        job(tmp_path).wait(0)


def test_asking_keeps_a_build_alive(tmp_path: Path) -> None:
    job(tmp_path, lease=2).start(runs("exec sleep 4", tmp_path))  # type: ignore[arg-type]
    assert job(tmp_path).wait(FOR_LONG) == {"finished": True, "outcome": {"code": 0}, **ENDED}


def test_a_killed_process_is_not_waited_for(tmp_path: Path) -> None:
    job(tmp_path).start(runs("exec sleep 60", tmp_path))  # type: ignore[arg-type]
    assert within(FOR_LONG, (tmp_path / "program.pid").exists)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert within(FOR_LONG, lambda: gone(int((tmp_path / "pid").read_text())))
    second = job(tmp_path, run="second")
    second.start(lambda running: running.note_left(job(tmp_path)) or {"changed": False})  # type: ignore[func-returns-value]
    assert "is gone without a word" in second.wait(FOR_LONG)["left"]
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
    job(tmp_path, run="second").start(breaks)
    assert "ZeroDivisionError" in job(tmp_path, run="second").wait(FOR_LONG)["outcome"]["exception"]


def test_what_is_known_is_the_user_s_own_and_swept_a_day_later(tmp_path: Path) -> None:
    job(tmp_path).start(quick)
    job(tmp_path).wait(FOR_LONG)
    assert (tmp_path / "first").stat().st_mode & 0o077 == 0
    day = time.time() - 90_000
    for path in (tmp_path / "first").iterdir():
        os.utime(path, (day, day))
    (tmp_path / CLAIMS).mkdir()
    os.utime(tmp_path / CLAIMS, (day, day))
    (tmp_path / "first/progress").touch()
    job(tmp_path, run="second").start(quick)
    assert (tmp_path / "first").exists(), "something has moved there"
    os.utime(tmp_path / "first/progress", (day, day))
    job(tmp_path, run="third").start(quick)
    assert not (tmp_path / "first").exists()
    assert (tmp_path / CLAIMS).exists(), "what others hold on to is gone"


def test_a_run_of_yesterday_is_not_swept_from_below_its_own_start(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    os.utime(tmp_path / "first", (time.time() - 90_000,) * 2)
    job(tmp_path).start(quick)
    assert job(tmp_path).wait(FOR_LONG)["outcome"] == {"changed": True}


def test_a_build_that_ends_between_two_looks_is_not_told_as_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(tmp_path).start(runs(f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done", tmp_path))  # type: ignore[arg-type]
    look = Job._has_process

    def ends_meanwhile(looking: Job) -> bool:
        (tmp_path / "go").touch()
        assert within(FOR_LONG, lambda: (tmp_path / "first/outcome").exists() and not look(looking))
        return False

    monkeypatch.setattr(Job, "_has_process", ends_meanwhile)
    assert job(tmp_path).wait(0)["outcome"] == {"code": 0}


def test_who_looks_waits_for_who_begins(tmp_path: Path) -> None:
    """Else a look between the two marks of a beginning would take it for a build whose process is gone."""
    job(tmp_path).start(quick)
    with (tmp_path / "first/gate").open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        looking = threading.Thread(target=job(tmp_path).wait, args=(FOR_LONG,), daemon=True)
        looking.start()
        looking.join(1)
        assert looking.is_alive()
    looking.join(FOR_LONG)
    assert not looking.is_alive()


def attended(each: Job) -> list[str]:
    """What the build is told when it is to end."""
    said: list[str] = []
    ended = threading.Event()

    def stop(why: str) -> None:
        said.append(why)
        ended.set()

    attending = threading.Thread(target=each.attend, args=(stop, dict, ended), daemon=True)
    attending.start()
    attending.join(FOR_LONG)
    ended.set()
    return said


def test_a_full_disk_does_not_keep_a_build_that_nobody_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "first").mkdir()
    monkeypatch.setattr(Job, "_write", full)
    assert attended(job(tmp_path)) == [STOPPED]


def test_a_build_whose_directory_was_removed_ends(tmp_path: Path) -> None:
    assert attended(job(tmp_path)) == [STOPPED]


def test_who_reads_meanwhile_never_sees_half_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    each = job(tmp_path)
    each._write("progress", {"built": 1})
    with pytest.raises(TypeError):
        each._write("progress", {"built": 2, "names": object()})
    assert each._read("progress") == {"built": 1}


def test_a_run_that_nobody_knows_is_told_as_gone(tmp_path: Path) -> None:
    assert "gone without a word" in job(tmp_path).wait(0)["outcome"]["msg"]
    assert "gone without a word" in job(tmp_path).stop(0)["outcome"]["msg"]


def test_a_full_disk_keeps_the_outcome_from_nobody(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)

    def fills(_job: Job) -> Answer:
        subprocess.run(["dd", "if=/dev/zero", f"of={small}/filled", "bs=4k"], check=False, stderr=subprocess.DEVNULL)
        raise NixError("No space left on device", log=["x" * 1000] * 40)

    try:
        job(small).start(fills)
        outcome = job(small).wait(FOR_LONG)["outcome"]
        assert (outcome["msg"], len(outcome["log"])) == ("No space left on device", 40)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


@pytest.mark.parametrize("ask", [lambda nix: nix.run("nix-store"), lambda nix: nix.follow("nix-store", listen=print)])
def test_a_stopped_nix_starts_nothing_more(ask: object) -> None:
    nix = Nix({})
    nix.stop("enough")
    with pytest.raises(NixError, match="enough"):
        ask(nix)  # type: ignore[operator]


def test_a_nix_that_does_not_end_when_it_is_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "STOP_SECONDS", 0.5)
    script = tmp_path / "nix-store"
    script.write_text(
        f"#!/bin/sh\ntrap 'touch {tmp_path}/asked' TERM\necho $$ >{tmp_path}/pid\nwhile :; do sleep 0.1; done\n"
    )
    script.chmod(0o755)
    nix = Nix({}, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    said: list[str] = []

    def follow() -> None:
        with pytest.raises(NixError) as caught:
            nix.follow("nix-store", listen=said.append)
        said.append(str(caught.value))

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    assert within(FOR_LONG, lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    nix.stop("enough")
    following.join(FOR_LONG)
    try:
        assert said == ["enough"]
        assert (tmp_path / "asked").exists(), "it was killed before it was asked"
    finally:
        pid = int((tmp_path / "pid").read_text())
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)
