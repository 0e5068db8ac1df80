# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real emulator in a process of its own, for tests that need sockets and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass
class Emulator:
    process: subprocess.Popen[str]
    url: str
    port: int
    state: Path


def write_config(directory: Path, **changes: Any) -> Path:
    values = {
        "listen_port": 0,
        "port_file": str(directory / "port"),
        "state_directory": str(directory / "state"),
        "token": "lab-token",
        "timing": {"tick": 0.05, "queued": 0, "boot": 0.1, "spot_fill": 0},
    }
    path = directory / "config.json"
    path.write_text(json.dumps(values | changes), encoding="utf-8")
    return path


def launch(config: Path, prefix: tuple[str, ...] = (), errors: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "metal_lab", "--config", str(config)],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT / "extensions" / "lab")},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


@contextmanager
def running(directory: Path, prefix: tuple[str, ...] = (), **changes: Any) -> Iterator[Emulator]:
    """Wait for the line that says ready; end exactly this process."""
    process = launch(write_config(directory, **changes), prefix)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("metal_lab: ready on http://"), line
        url = line.split()[-1]
        yield Emulator(process, url, int(url.rsplit(":", 1)[1]), directory / "state")
    finally:
        end(process)


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    if process.poll() is None:
        process.send_signal(number)
    status = process.wait(timeout=30)
    if process.stdout is not None:
        process.stdout.close()
    return status


def wait_for(what: str, seen: Any, seconds: float) -> Any:
    """The first true answer of ``seen``; what was seen last, when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = seen()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: still {value!r} after {seconds} s"
        time.sleep(0.05)
