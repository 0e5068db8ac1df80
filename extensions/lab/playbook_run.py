# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook and shows that it moves: its tasks, what it says, and the seconds where it is silent."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

SILENCE_SECONDS = 10.0
KEPT_LINES = 60

_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?:[a-z_.]+ : )?(?P<name>.*?)\] \**$")
_RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=\d+\s+changed=(?P<changed>\d+)\s")
# By default Ansible names a task only when it has ended, since it may be skipped. Who waits for it wants the name before.
NAMES_AT_ONCE = {"ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true"}
_SKIPPED = re.compile(r"^skipping: ")
# What Ansible says of every task of every host is too much for a reader who waits.
_NOISE = re.compile(r"^(ok|changed|included|skipping|PLAY|ASYNC|\[WARNING\]: (No inventory|provided hosts list)|\s*$)")


@dataclass
class Outcome:
    """What a playbook's run came to."""

    status: int = 0
    seconds: float = 0.0
    changed: dict[str, int] = field(default_factory=dict)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    @property
    def changes(self) -> int:
        return sum(self.changed.values())


def lines_or_silence(process: subprocess.Popen[str], patience: float) -> Iterator[str | None]:
    """The process's lines as they come; None each time it said nothing but noise for so long."""
    waiting: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            waiting.put(line.rstrip("\n"))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + patience
    while True:
        try:
            line = waiting.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            deadline = time.monotonic() + patience
            yield None
            continue
        if line is None:
            return
        if not _NOISE.match(line):
            deadline = time.monotonic() + patience
        yield line


class Screen:
    """What a reader sees: a task's name as soon as it has a result or lasts, and never that of one that is skipped."""

    def __init__(self) -> None:
        self._task = ""

    def show(self, line: str | None, seconds: float) -> None:
        if line is None:
            self._name_the_task()
            print(f"  {seconds:6.1f} s  ... still at it", flush=True)
        elif task := _TASK.match(line):
            self._task = f"  {seconds:6.1f} s  {task['name']}"
        elif line.startswith("PLAY"):
            self._task = ""
        elif line.strip() and not _SKIPPED.match(line):
            self._name_the_task()
            if not _NOISE.match(line) and not _RECAP.match(line):
                print(f"            {line}", flush=True)

    def _name_the_task(self) -> None:
        if self._task:
            print(self._task, flush=True)
        self._task = ""


def run(command: list[str], env: dict[str, str], cwd: str) -> Outcome:
    begin, outcome, screen = time.monotonic(), Outcome(), Screen()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env | NAMES_AT_ONCE, cwd=cwd
    ) as process:
        for line in lines_or_silence(process, SILENCE_SECONDS):
            seconds = time.monotonic() - begin
            screen.show(line, seconds)
            if line is None:
                continue
            if not _SKIPPED.match(line):
                outcome.last_lines.append(line)
            if recap := _RECAP.match(line):
                outcome.changed[recap["host"]] = int(recap["changed"])
    outcome.status, outcome.seconds = process.returncode, time.monotonic() - begin
    if outcome.status:
        print("\n".join(outcome.last_lines), file=sys.stderr)
    return outcome
