# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between the network and the disk: files that grow side by side, each hashed and written by one of several threads."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable

from . import limits
from .blob_store import Donor
from .errors import StreamError
from .manifest import Entry
from .parts import Part
from .plan import Job, Store
from .progress import Progress

Task = Callable[[], None]
FLUSHERS = 4  # small files are flushed together: the file system joins what waits for its journal


class Pipeline:
    """Hashing and writing in threads of their own, flushing in others. The first failure ends it.

    All of one file is done by one thread, in the order in which it was asked for.
    """

    def __init__(self, store: Store, progress: Progress, connections: int = 1) -> None:
        self._store = store
        self._progress = progress
        self._intakes = [Intake(self, max(2, limits.BUFFERS // connections)) for _number in range(connections)]
        self._lines: list[queue.Queue[Task | None]] = [
            queue.Queue() for _number in range(max(limits.FILES_AT_ONCE, connections))
        ]
        self._failure: StreamError | None = None
        self._flushers = ThreadPoolExecutor(max_workers=FLUSHERS)
        self._settling = threading.BoundedSemaphore(4 * FLUSHERS)
        self._settled: list[Future[None]] = []
        self._arriving: dict[str, Part] = {}  # by digest: those that may lend
        self._grown = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(line,), daemon=True) for line in self._lines]
        for thread in self._threads:
            thread.start()

    def intake(self, index: int) -> Intake:
        """Where a connection brings what it received."""
        return self._intakes[index]

    def put(self, job: Job, task: Task) -> None:
        """Let the thread that has this file do something."""
        self._lines[job.lane % len(self._lines)].put(task)

    def write(self, job: Job, view: memoryview) -> None:
        """In that thread: take the next bytes of a file."""
        part = self._part(job)
        part.write(view)
        self._progress.count(sent=len(view))
        view.release()
        self._flush_behind(job, part)

    def borrow(self, job: Job, donor: Donor, length: int) -> None:
        """In that thread: take the next bytes of a file from another one here."""
        if donor.arriving and donor.digest != job.entry.sha256:
            self._await(donor, length)
        part, offset = self._part(job), donor.offset
        view = memoryview(bytearray(limits.CHUNK))
        descriptor = self._open_donor(donor)
        try:
            while length:
                count = part.borrow(descriptor, offset, view[:length])
                if not count:
                    raise StreamError(f"{donor.path} is shorter than it was said to be; run again")
                self._progress.count(reused=count)
                length, offset = length - count, offset + count
        finally:
            os.close(descriptor)
        self._flush_behind(job, part)

    def settle(self, job: Job) -> None:
        """In that thread: a file is complete, so verify it, and put it into place."""
        part = self._part(job)
        _wait_for_flush(job)
        try:
            part.verify(", ".join(sorted(job.donors.values())))
        except StreamError:
            for digest in job.donors:
                self._store.distrust(digest)
            raise
        self._settling.acquire()
        self._settled.append(self._flushers.submit(self._put_in_place, job.entry, part))

    def finish(self) -> None:
        """Wait until everything is in place."""
        self._end()
        self.check()
        for settled in self._settled:
            settled.result()
        self.check()
        self._progress.files_sent = len(self._settled)

    def stop(self) -> None:
        """Begin nothing more. Part files stay for another time."""
        if self._failure is None and any(thread.is_alive() for thread in self._threads):
            self._failure = StreamError("the transfer was stopped")
        self._end()
        self._flushers.shutdown(wait=True)

    def check(self) -> None:
        """Raise what ended it, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        for line in self._lines:
            line.put(None)
        self._wake()
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        """Whoever waits for a file to grow looks again."""
        with self._grown:
            self._grown.notify_all()

    def _work(self, line: queue.Queue[Task | None]) -> None:
        while (task := line.get()) is not None:
            if self._failure is None:
                try:
                    task()
                except StreamError as problem:
                    self._failure = problem
                except OSError as problem:
                    self._failure = self._explain(problem)
                except (MemoryError, RuntimeError) as problem:
                    # "can't start new thread" is one. Whoever waits for a buffer must hear of it.
                    self._failure = StreamError(f"the receiver lacks memory or threads: {problem or 'out of memory'}")
            if self._failure is not None:
                for intake in self._intakes:
                    intake.wake()
            self._wake()

    def _put_in_place(self, entry: Entry, part: Part) -> None:
        try:
            part.settle(*self._store.place(entry))
            self._store.arrived(entry)
        except OSError as problem:
            self._failure = self._explain(problem)
        finally:
            self._settling.release()

    def _part(self, job: Job) -> Part:
        if job.part is None:
            job.part = Part(self._store.parts, job.entry)
        if job.entry.pieces:
            self._arriving[job.entry.sha256] = job.part
        return job.part

    def _await(self, donor: Donor, length: int) -> None:
        """What lends may be in the hands of another thread still; all of it has been received."""

        def is_there() -> bool:
            part = self._arriving.get(donor.digest)
            return part is not None and part.length >= min(donor.offset + length, part.entry.size)

        with self._grown:
            self._grown.wait_for(lambda: self._failure or is_there())
        self.check()

    def _open_donor(self, donor: Donor) -> int:
        """A file that lends may be arriving itself: then it has its first name still, or its last one already."""
        part = self._arriving.get(donor.digest) if donor.arriving else None
        for path in (part.path if part else donor.path, donor.path):
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                if not part or os.fstat(descriptor).st_ino == part.inode:
                    return descriptor
                os.close(descriptor)
        raise StreamError(f"{donor.path} went away while it lent pieces; run again")

    def _flush_behind(self, job: Job, part: Part) -> None:
        """Flush large files while they come, one step behind, so that the end need not wait for gigabytes."""
        if part.length - part.flushed < limits.SYNC_STEP:
            return
        _wait_for_flush(job)
        part.flushed = part.length
        job.flush = self._flushers.submit(part.flush)

    def _explain(self, problem: OSError) -> StreamError:
        text = f"{self._store.dest}: {problem.strerror or problem}"
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            text += ". What arrived is kept: free some space and run again to go on from there"
        return StreamError(text)


class Intake:
    """The buffers of one connection, and the way from them to the threads that hash and write."""

    def __init__(self, pipeline: Pipeline, buffers: int) -> None:
        self._pipeline = pipeline
        self._free: queue.Queue[bytearray] = queue.Queue()
        for _number in range(buffers):
            self._free.put(bytearray(limits.CHUNK))

    def buffer(self) -> bytearray:
        """A free buffer; while all are in use the connection waits, and the sender with it."""
        buffer = self._free.get()
        self._pipeline.check()
        return buffer

    def wake(self) -> None:
        """Let whoever waits for a buffer look at what ended the pipeline."""
        self._free.put(bytearray(0))

    def write(self, job: Job, buffer: bytearray, view: memoryview) -> None:
        """The next bytes of a file, and the buffer that holds them."""

        def task() -> None:
            self._pipeline.write(job, view)
            self._free.put(buffer)

        self._pipeline.put(job, task)

    def borrow(self, job: Job, donor: Donor, length: int) -> None:
        """The next bytes of a file, which another one here holds."""
        self._pipeline.put(job, lambda: self._pipeline.borrow(job, donor, length))

    def settle(self, job: Job) -> None:
        """A file is complete."""
        self._pipeline.put(job, lambda: self._pipeline.settle(job))


def _wait_for_flush(job: Job) -> None:
    if job.flush:
        job.flush.result()
        job.flush = None
