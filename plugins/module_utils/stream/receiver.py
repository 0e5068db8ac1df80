# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receiving side: asks for what is lacking, hashes and writes it as it comes, and puts it into place."""

from __future__ import annotations

import errno
import os
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable

from . import limits, protocol
from .blob_store import Donor
from .errors import StreamError
from .manifest import Entry
from .parts import Part
from .plan import Job, Store, make_jobs
from .progress import Progress
from .protocol import Channel

Task = Callable[[], None]
FLUSHERS = 4  # small files are flushed together: the file system joins what waits for its journal


def receive(channel: Channel, store: Store, lacking: list[Entry], progress: Progress) -> bool:
    """Bring what is lacking into place. True when that changed something (it always does when anything lacked)."""
    progress.begin(sum(entry.size for entry in lacking))
    with ThreadPoolExecutor(max_workers=1) as aside:
        jobs = channel.attend(aside.submit(make_jobs, store, lacking))
        progress.bytes_resumed = sum(job.part.length for job in jobs if job.part)
        protocol.send_wants(channel, _ranges(jobs))
        pipeline = Pipeline(store, progress)
        try:
            _take(channel, jobs, pipeline)
            channel.attend(aside.submit(pipeline.finish))
        finally:
            pipeline.stop()
            for job in jobs:
                job.close()
        changed = channel.attend(aside.submit(store.finish))
    channel.send_frame(protocol.DONE)
    return changed or bool(lacking)


def _ranges(jobs: list[Job]) -> list[protocol.Range]:
    return [
        (bytes.fromhex(job.entry.sha256), segment.offset, segment.length)
        for job in jobs
        for segment in job.segments
        if not segment.donor
    ]


def _take(channel: Channel, jobs: list[Job], pipeline: Pipeline) -> None:
    """The network's thread: from frames into buffers, and on to the pipeline."""
    for job in jobs:
        for segment in job.segments:
            if segment.donor:
                pipeline.borrow(job, segment.donor, segment.length)
            else:
                _take_range(channel, job, segment.length, pipeline)
        pipeline.settle(job)


def _take_range(channel: Channel, job: Job, length: int, pipeline: Pipeline) -> None:
    while length:
        kind, size = channel.header()
        if kind != protocol.DATA or not 0 < size <= min(length, limits.CHUNK):
            raise StreamError(
                f"the sender sent a message of kind {kind[0]} and {size} bytes where {length} bytes of "
                f"{job.entry.name} were due"
            )
        buffer = pipeline.buffer()
        view = memoryview(buffer)[:size]
        channel.fill(view)
        pipeline.write(job, buffer, view)
        length -= size


class Pipeline:
    """Hashing and writing in a thread of their own, flushing in others. The first failure ends it."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._free: queue.Queue[bytearray] = queue.Queue()
        for _number in range(limits.BUFFERS):
            self._free.put(bytearray(limits.CHUNK))
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._failure: StreamError | None = None
        self._flushers = ThreadPoolExecutor(max_workers=FLUSHERS)
        self._settling = threading.BoundedSemaphore(4 * FLUSHERS)
        self._settled: list[Future[None]] = []
        self._syncing: Future[None] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def buffer(self) -> bytearray:
        """A free buffer; while all are in use the network waits, and the sender with it."""
        buffer = self._free.get()
        self._raise()
        return buffer

    def write(self, job: Job, buffer: bytearray, view: memoryview) -> None:
        """Take the next bytes of a file, and the buffer that holds them."""
        self._tasks.put(lambda: self._write(job, buffer, view))

    def borrow(self, job: Job, donor: Donor, length: int) -> None:
        """Take the next bytes of a file from another one here."""
        self._tasks.put(lambda: self._borrow(job, donor, length))

    def settle(self, job: Job) -> None:
        """A file is complete: verify it, and put it into place."""
        self._tasks.put(lambda: self._settle(job))

    def finish(self) -> None:
        """Wait until everything is in place."""
        self._tasks.put(None)
        self._thread.join()
        self._raise()
        for settled in self._settled:
            settled.result()
        self._raise()
        self._progress.files_sent = len(self._settled)

    def stop(self) -> None:
        """Begin nothing more. Part files stay for another time."""
        if self._failure is None and self._thread.is_alive():
            self._failure = StreamError("the transfer was stopped")
        self._tasks.put(None)
        self._thread.join()
        self._flushers.shutdown(wait=True)

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            if task is None:
                return
            if self._failure is None:
                try:
                    task()
                except StreamError as problem:
                    self._failure = problem
                except OSError as problem:
                    self._failure = self._explain(problem)
            if self._failure is not None:
                self._free.put(bytearray(0))  # wakes the network's thread up, which then raises the failure

    def _write(self, job: Job, buffer: bytearray, view: memoryview) -> None:
        part = self._part(job)
        part.write(view)
        self._progress.bytes_sent += len(view)
        view.release()
        self._free.put(buffer)
        self._flush_behind(part)

    def _borrow(self, job: Job, donor: Donor, length: int) -> None:
        part, offset = self._part(job), donor.offset
        view = memoryview(bytearray(limits.CHUNK))
        descriptor = os.open(donor.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while length:
                count = part.borrow(descriptor, offset, view[:length])
                if not count:
                    raise StreamError(f"{donor.path} is shorter than it was said to be; run again")
                self._progress.bytes_reused += count
                length, offset = length - count, offset + count
        finally:
            os.close(descriptor)
        self._flush_behind(part)

    def _settle(self, job: Job) -> None:
        part = self._part(job)
        self._wait_for_flush()
        try:
            part.verify(", ".join(sorted(job.donors.values())))
        except StreamError:
            for digest in job.donors:
                self._store.distrust(digest)
            raise
        self._settling.acquire()
        self._settled.append(self._flushers.submit(self._put_in_place, job.entry, part))

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
        return job.part

    def _flush_behind(self, part: Part) -> None:
        """Flush large files while they come, one step behind, so that the end need not wait for gigabytes."""
        if part.length - part.flushed < limits.SYNC_STEP:
            return
        self._wait_for_flush()
        part.flushed = part.length
        self._syncing = self._flushers.submit(part.flush)

    def _wait_for_flush(self) -> None:
        if self._syncing:
            self._syncing.result()
            self._syncing = None

    def _explain(self, problem: OSError) -> StreamError:
        text = f"{self._store.dest}: {problem.strerror or problem}"
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            text += ". What arrived is kept: free some space and run again to go on from there"
        return StreamError(text)
