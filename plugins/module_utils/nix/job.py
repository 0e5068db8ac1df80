# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build that outlives the module run that began it, so that somebody can look at how far it is.

A directory of its own, named by what is built, holds all there is to know: who looks finds a running build of the same thing
instead of beginning a second one. Nobody's build goes on for ever: when no one has looked for LEASE_SECONDS, it is ended.

JOB/lock      locked by the build's process for as long as it lives
JOB/asked     its time of modification is when somebody looked last
JOB/stop      somebody wants it to end
JOB/progress  how far it is, replaced once a second
JOB/outcome   how it ended
JOB/began     it was begun
JOB/seen      somebody saw how it ended
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.detached import detach

from .errors import NixError

Answer = dict[str, Any]
LEASE_SECONDS = 300.0
OLD_SECONDS = 86400.0
LOOK_SECONDS = 0.1
LEAVING_SECONDS = 10.0
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


def key_of(wanted: Mapping[str, Any]) -> str:
    """The same for the same build."""
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode("utf-8")).hexdigest()[:32]


class Job:
    """One build's directory."""

    def __init__(self, base: str, key: str, host: str, lease: float = LEASE_SECONDS) -> None:
        self._base = base
        self._directory = os.path.join(base, key)
        self._host = host
        self._lease = lease

    def start(self, work: Callable[[Job], Answer]) -> Answer:
        """Begin, or follow what runs already; and what there is to say of an earlier run that nobody saw end."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        sweep(self._base, keep=self._directory)
        self._ask()
        self._let_it_leave()
        with self._locked() as lock:
            if lock is None:
                return {"attached": True, "left": ""}
            left = self._unseen()
            for name in ("outcome", "progress", "seen", "stop"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(name))
            self._write("began", {})
            # The lock passes on to the new process: it is free when that one ends, however it ends.
            detach(lambda: self._run(work))
        return {"attached": False, "left": left}

    def wait(self, seconds: float) -> Answer:
        """The outcome as soon as there is one, or how far it is when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            self._ask()
            alive = self._alive()
            outcome = self._read("outcome")
            if outcome:
                self._write("seen", {})
                return {"finished": True, "outcome": outcome}
            if not alive:
                return {"finished": True, "outcome": {"failed": True, "msg": GONE.format(host=self._host)}}
            if time.monotonic() >= deadline:
                return {"finished": False, "progress": self._read("progress")}
            time.sleep(LOOK_SECONDS)

    def stop(self, seconds: float) -> Answer:
        """Make it end."""
        self._write("stop", {})
        return self.wait(seconds)

    def attend(self, stop: Callable[[str], None], progress: Callable[[], Answer], ended: threading.Event) -> None:
        """In the build's process, beside the build: note how far it is, and end it when nobody wants it any more."""
        asked, since = 0.0, time.monotonic()
        while not ended.wait(1.0):
            self._write("progress", progress())
            # The time that passed since the file changed, whatever the clock says meanwhile.
            last = os.stat(self._path("asked")).st_mtime
            if last != asked:
                asked, since = last, time.monotonic()
            if os.path.exists(self._path("stop")):
                stop(STOPPED)
            elif time.monotonic() - since > self._lease:
                stop(LEFT_ALONE.format(seconds=self._lease))

    def _run(self, work: Callable[[Job], Answer]) -> None:
        outcome: Answer = {"failed": True, "msg": "the build's process met an error of its own"}
        try:
            outcome = work(self)
        except NixError as error:
            outcome = {"failed": True, "msg": str(error), **error.details}
        finally:
            if sys.exc_info()[0] is not None:
                outcome["exception"] = traceback.format_exc()
            self._write("outcome", outcome)

    def _unseen(self) -> str:
        """What an earlier run came to that failed with nobody there."""
        if not os.path.exists(self._path("began")) or os.path.exists(self._path("seen")):
            return ""
        outcome = self._read("outcome") or {"msg": GONE.format(host=self._host)}
        return str(outcome.get("msg", ""))

    def _let_it_leave(self) -> None:
        """A process that has written its outcome still has the lock for a moment."""
        deadline = time.monotonic() + LEAVING_SECONDS
        while self._read("outcome") and self._alive() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def _alive(self) -> bool:
        with self._locked() as lock:
            return lock is None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int | None]:
        """The lock, or None where the build's process has it. A child that is forked meanwhile has it too, and keeps it."""
        descriptor = os.open(self._path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield descriptor
        finally:
            os.close(descriptor)

    def _ask(self) -> None:
        with open(self._path("asked"), "a", encoding="utf-8"):
            os.utime(self._path("asked"))

    def _read(self, name: str) -> Answer:
        try:
            with open(self._path(name), encoding="utf-8") as stream:
                return dict(json.load(stream))
        except FileNotFoundError:
            return {}

    def _write(self, name: str, content: Answer) -> None:
        # Not flushed to the disk: after a power cut the build is gone too.
        new = self._path(f"{name}.{threading.get_ident()}")
        with open(new, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        os.replace(new, self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def sweep(base: str, keep: str) -> None:
    """Remove the directories of builds that ended long ago."""
    for entry in os.scandir(base):
        asked = os.path.join(entry.path, "asked")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if entry.path != keep and time.time() - os.stat(asked).st_mtime > OLD_SECONDS:
                shutil.rmtree(entry.path, ignore_errors=True)
