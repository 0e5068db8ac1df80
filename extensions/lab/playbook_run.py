# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook and shows that it moves: its tasks as they begin, what it says, and the seconds where it is silent."""

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
    """The process's lines as they come; None each time it was silent for so long."""
    waiting: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            waiting.put(line.rstrip("\n"))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=patience)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def show(line: str, seconds: float) -> None:
    if task := _TASK.match(line):
        print(f"  {seconds:6.1f} s  {task['name']}", flush=True)
    elif not _NOISE.match(line) and not _RECAP.match(line):
        print(f"            {line}", flush=True)


def run(command: list[str], env: dict[str, str], cwd: str) -> Outcome:
    begin, outcome = time.monotonic(), Outcome()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=cwd
    ) as process:
        for line in lines_or_silence(process, SILENCE_SECONDS):
            seconds = time.monotonic() - begin
            if line is None:
                print(f"  {seconds:6.1f} s  ... still at it", flush=True)
                continue
            outcome.last_lines.append(line)
            if recap := _RECAP.match(line):
                outcome.changed[recap["host"]] = int(recap["changed"])
            show(line, seconds)
    outcome.status, outcome.seconds = process.returncode, time.monotonic() - begin
    if outcome.status:
        print("\n".join(outcome.last_lines), file=sys.stderr)
    return outcome
