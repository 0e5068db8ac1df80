# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build that outlives the module run that began it, so that somebody can look at how far it is.

A directory of its own, named by the run that began it, holds all there is to know. Other runs may follow it, instead of beginning
the same build a second time (claim.py). Nobody's build goes on for ever: it is ended when all that asked for it have gone, or when
none of them has looked for LEASE_SECONDS.

RUN/gate         locked for a moment, by whoever looks whether the build's process lives or decides over it
RUN/lock         locked by the build's process for as long as it lives
RUN/asked.WHO    its time of modification is when run WHO looked last; without the file, WHO does not want it any more
RUN/began        it was begun
RUN/progress     how far it is, replaced once a second
RUN/left         how an earlier run of the same build ended that nobody saw end
RUN/ending       it was told to end: nobody may follow it any more
RUN/room         keeps room on the disk for the outcome
RUN/outcome      how it ended, or which run it follows
RUN/seen         somebody saw how it ended
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.detached import detach

from .errors import NixError

Answer = dict[str, Any]
LEASE_SECONDS = 300.0
OLD_SECONDS = 86400.0
LOOK_SECONDS = 0.1
ROOM = 1 << 18
ASKED = "asked."
CLAIMS = "claims"  # stands beside the runs; claim.py's own
FOLLOWS = "follows"
GONE = (
    "The process that ran the build on {host} is gone without a word: it was killed, or the host was restarted. "
    "What was built is kept, and a next run goes on from there."
)
LEFT_ALONE = (
    "The build was ended because nobody had asked for it for {seconds:g} seconds: Ansible was killed, or lost the host. "
    "What was built is kept, and a next run goes on from there."
)
STOPPED = (
    "The build was ended because Ansible was told to stop. What was built is kept, and a next run goes on from there."
)


class Job:
    """One run's directory."""

    def __init__(self, base: str, run: str, host: str, lease: float = LEASE_SECONDS) -> None:
        self.base = base
        self.run = run
        self._directory = os.path.join(base, run)
        self._host = host
        self._lease = lease

    def start(self, work: Callable[[Job], Answer]) -> None:
        """Begin. Said a second time, because the answer to the first was lost, it changes nothing."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        sweep(self.base, keep=self._directory)
        with self._gate():
            self._ask(self.run)
            if os.path.exists(self._path("began")):
                return
            self._reserve()
            self._write("began", {})
            with self._locked("lock", wait=False):
                # The lock passes on to the new process: it is free when that one ends, however it ends.
                detach(lambda: self._run(work))

    def wait(self, seconds: float) -> Answer:
        """The outcome as soon as there is one, or how far it is when the time is over."""
        deadline = time.monotonic() + seconds
        answer = self._watch(self.run, deadline)
        followed = answer.get("outcome", {}).get(FOLLOWS)
        if followed:
            answer = self.other(followed)._watch(self.run, deadline)
        return {**answer, "attached": bool(followed), "left": self._read("left").get("msg", "")}

    def stop(self, seconds: float) -> Answer:
        """Do not want it any more: it ends, unless another run wants it."""
        followed = self._read("outcome").get(FOLLOWS)
        job = self.other(followed) if followed else self
        with contextlib.suppress(FileNotFoundError), job._gate():
            os.unlink(job._path(ASKED + self.run))
            if job._asked():
                return {}
        return job._watch(None, time.monotonic() + seconds)

    def follow(self, run: str) -> bool:
        """Let another run follow this build, when there is still something to follow."""
        with self._gate():
            over = any(os.path.exists(self._path(name)) for name in ("ending", "outcome"))
            if over or not self._has_process():
                return False
            self._ask(run)
            return True

    def other(self, run: str) -> Job:
        """The job of another run."""
        return Job(self.base, run, self._host, self._lease)

    def note_left(self, earlier: Job) -> None:
        """Remember how an earlier run of the same build ended, if nobody was there to see it."""
        unseen = earlier._unseen()
        if unseen:
            self._write("left", {"msg": unseen})

    def attend(self, stop: Callable[[str], None], progress: Callable[[], Answer], ended: threading.Event) -> None:
        """In the build's process, beside the build: note how far it is, and end it when nobody wants it any more."""
        known: set[tuple[str, int]] = set()
        since, why = time.monotonic(), ""
        while not ended.wait(1.0):
            with contextlib.suppress(OSError):  # a full disk is no reason to go on for ever
                self._write("progress", progress())
            try:
                with self._gate():
                    asked = self._asked()
                    # The time that passed since a file changed, whatever the clock says meanwhile.
                    since = time.monotonic() if asked - known else since
                    known = asked
                    why = why or self._over(bool(asked), time.monotonic() - since)
            except FileNotFoundError:
                why = STOPPED  # the directory was removed: nobody can ask for it any more
            if why:
                stop(why)

    def _over(self, wanted: bool, silence: float) -> str:
        """Why to end it, if it is to end."""
        if wanted and silence <= self._lease:
            return ""
        with contextlib.suppress(OSError):
            self._write("ending", {})
        return LEFT_ALONE.format(seconds=self._lease) if wanted else STOPPED

    def _watch(self, asking: str | None, deadline: float) -> Answer:
        """See how it goes until it has ended or the time is over, on behalf of a run that wants it."""
        if not os.path.exists(self._path("began")):
            return {"finished": True, "outcome": {"failed": True, "msg": GONE.format(host=self._host)}}
        while True:
            if asking:
                self._ask(asking)
            with self._gate():
                alive = self._has_process()
            outcome = self._read("outcome")
            if outcome:
                self._write("seen", {})
                return {"finished": True, "outcome": outcome}
            if not alive:
                return {"finished": True, "outcome": {"failed": True, "msg": GONE.format(host=self._host)}}
            if time.monotonic() >= deadline:
                return {"finished": False, "progress": self._read("progress")}
            time.sleep(LOOK_SECONDS)

    def _run(self, work: Callable[[Job], Answer]) -> None:
        outcome: Answer = {"failed": True, "msg": "the build's process met an error of its own"}
        try:
            outcome = work(self)
        except NixError as error:
            outcome = {"failed": True, "msg": str(error), **error.details}
        finally:
            if sys.exc_info()[0] is not None:
                outcome["exception"] = traceback.format_exc()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path("room"))
            self._write("outcome", outcome)

    def _reserve(self) -> None:
        """Keep room for the outcome: what a build mostly fails of is a full disk."""
        with open(self._path("room"), "wb") as stream:
            stream.write(b"\0" * ROOM)

    def _unseen(self) -> str:
        """What this run came to if nobody saw it."""
        if not os.path.exists(self._path("began")) or os.path.exists(self._path("seen")):
            return ""
        outcome = self._read("outcome") or {"msg": GONE.format(host=self._host)}
        return str(outcome.get("msg", ""))

    def _has_process(self) -> bool:
        """Within the gate: else who begins could take the look itself for a process."""
        with self._locked("lock", wait=False) as free:
            return not free

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        with self._locked("gate", wait=True):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, wait: bool) -> Iterator[bool]:
        """Whether this process has the lock now. A child that is forked meanwhile has "lock" too, and keeps it."""
        descriptor = os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
                if wait:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child does not keep the gate shut
        finally:
            os.close(descriptor)

    def _ask(self, run: str) -> None:
        with open(self._path(ASKED + run), "a", encoding="utf-8"):
            os.utime(self._path(ASKED + run))

    def _asked(self) -> set[tuple[str, int]]:
        return {
            (entry.name, entry.stat().st_mtime_ns)
            for entry in os.scandir(self._directory)
            if entry.name.startswith(ASKED)
        }

    def _read(self, name: str) -> Answer:
        try:
            with open(self._path(name), encoding="utf-8") as stream:
                return dict(json.load(stream))
        except FileNotFoundError:
            return {}

    def _write(self, name: str, content: Answer) -> None:
        # Not flushed to the disk: after a power cut the build is gone too.
        new = self._path(f"{name}.{os.getpid()}.{threading.get_ident()}")
        with open(new, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        os.replace(new, self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def sweep(base: str, keep: str) -> None:
    """Remove the directories of runs in which nothing has moved for a day."""
    for entry in os.scandir(base):
        if entry.path == keep or entry.name == CLAIMS or not entry.is_dir(follow_symlinks=False):
            continue
        with contextlib.suppress(FileNotFoundError):
            moved = max((each.stat().st_mtime for each in os.scandir(entry.path)), default=entry.stat().st_mtime)
            if time.time() - moved > OLD_SECONDS:
                shutil.rmtree(entry.path, ignore_errors=True)
