# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receiving side: asks for what is lacking, hashes and writes it as it comes, and puts it into place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from . import limits, protocol
from .errors import StreamError
from .manifest import Entry
from .pipeline import Intake, Pipeline
from .plan import Job, Step, Store, make_jobs, plan_lanes
from .progress import Progress
from .protocol import Channel


def receive(channel: Channel, store: Store, lacking: list[Entry], progress: Progress) -> bool:
    """Bring what is lacking into place. True when that changed something (it always does when anything lacked)."""
    progress.begin(sum(entry.size for entry in lacking))
    with ThreadPoolExecutor(max_workers=1) as aside:
        jobs = channel.attend(aside.submit(make_jobs, store, lacking))
        progress.bytes_resumed = sum(job.part.length for job in jobs if job.part)
        lanes = channel.lanes
        steps = plan_lanes(jobs, len(lanes))
        for lane, its_steps in zip(lanes, steps):
            protocol.send_wants(lane, _ranges(its_steps))
        pipeline = Pipeline(store, progress, len(lanes))
        try:
            protocol.serve_all(lanes, lambda index: _take(lanes[index], steps[index], pipeline.intake(index)))
            channel.attend(aside.submit(pipeline.finish))
        finally:
            pipeline.stop()
            for job in jobs:
                job.close()
        changed = channel.attend(aside.submit(store.finish))
    channel.send_frame(protocol.DONE)
    return changed or bool(lacking)


def _ranges(steps: list[Step]) -> list[protocol.Range]:
    return [
        (bytes.fromhex(job.entry.sha256), segment.offset, segment.length)
        for job, segment in steps
        if segment and not segment.donor
    ]


def _take(channel: Channel, steps: list[Step], intake: Intake) -> None:
    """A connection's thread: from frames into buffers, and on to the pipeline."""
    for job, segment in steps:
        if not segment:
            intake.settle(job)
        elif segment.donor:
            intake.borrow(job, segment.donor, segment.length)
        else:
            _take_range(channel, job, segment.length, intake)


def _take_range(channel: Channel, job: Job, length: int, intake: Intake) -> None:
    while length:
        kind, size = channel.header()
        if kind != protocol.DATA or not 0 < size <= min(length, limits.CHUNK):
            raise StreamError(
                f"the sender sent a message of kind {kind[0]} and {size} bytes where {length} bytes of "
                f"{job.entry.name} were due"
            )
        buffer = intake.buffer()
        view = memoryview(buffer)[:size]
        channel.fill(view)
        intake.write(job, buffer, view)
        length -= size
