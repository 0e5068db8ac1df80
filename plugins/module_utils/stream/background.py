# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that outlives the module run that started it, but never its time limit."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.detached import detach

from .control import Control
from .errors import StreamError
from .progress import Progress

Answer = dict[str, Any]
Report = Callable[[Answer], None]
Body = Callable[[Report, threading.Event], Answer]
GRACE_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """How long a process may live and how it is found."""

    transfer: str
    token: str = dataclasses.field(repr=False)
    seconds: float
    linger: float  # seconds that the outcome waits to be asked for
    linger_on_success: bool


def start(settings: Settings, progress: Progress, body: Body, patience: float) -> Answer:
    """Run body in a process of its own; the answer is what body reports first. A failure before that is raised."""
    reader, writer = os.pipe()
    detach(lambda: _leave(reader, writer, settings, progress, body))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        ready, _w, _x = select.select([pipe], [], [], patience + GRACE_SECONDS)
        line = pipe.readline() if ready else b""
    try:
        answer = json.loads(line)
    except ValueError as problem:
        raise StreamError("the transfer's process ended before it was ready") from problem
    if answer.get("failed"):
        raise StreamError(answer["msg"])
    return dict(answer)


def _leave(reader: int, writer: int, settings: Settings, progress: Progress, body: Body) -> None:
    """In the process of its own: work, but not for ever."""
    os.close(reader)
    watchdog = threading.Timer(settings.seconds + settings.linger + GRACE_SECONDS, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
    _work(writer, settings, progress, body)


def _work(writer: int, settings: Settings, progress: Progress, body: Body) -> None:
    reported = threading.Event()

    def report(answer: Answer) -> None:
        if not reported.is_set():
            reported.set()
            with contextlib.suppress(OSError), os.fdopen(writer, "wb") as pipe:
                pipe.write(json.dumps({"pid": os.getpid(), **answer}).encode("utf-8") + b"\n")

    outcome: Answer = {"failed": True, "msg": "the transfer's process met an error of its own"}
    control = Control(settings.transfer, settings.token, progress.shown)
    try:
        outcome = body(report, control.stopped)
    except (StreamError, OSError) as problem:
        outcome = {"failed": True, "msg": str(problem)}
    finally:
        if sys.exc_info()[0] is not None:
            outcome["traceback"] = traceback.format_exc()
        collect = reported.is_set() and (settings.linger_on_success or bool(outcome.get("failed")))
        report(outcome)
        control.publish(outcome)
        if collect:
            control.linger(settings.linger)
        control.close()
