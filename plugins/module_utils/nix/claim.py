# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One build of one thing at a time: a run finds the run that builds the same already, and follows it.

The same is the same derivation, which its store path tells whatever files it was evaluated from, with the same settings of Nix. A
file for each such build names the run that has it, and is locked for as long as that run's process lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Callable

from .job import CLAIMS, LOOK_SECONDS, OLD_SECONDS, Job

# What the derivation's own path stands for, or what does not reach Nix.
NOT_THE_BUILD = ("file", "expression", "flake", "derivation", "path", "attr", "args", "search_path", "progress")


class Followed(Exception):
    """Another run builds the same already."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run


def key_of(host: str, wanted: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """The same for the same build: a derivation with its output, or a path; settings; and what else Nix listens to.

    The host is in it because several hosts may share a home directory, and none their stores.
    """
    settings = {name: value for name, value in options.items() if name not in NOT_THE_BUILD}
    heard = {name: value for name, value in environment.items() if name.startswith("NIX_")}
    return hashlib.sha256(json.dumps([host, wanted, settings, heard], sort_keys=True).encode("utf-8")).hexdigest()[:32]


def claim(job: Job, key: str, go_on: Callable[[], None]) -> None:
    """Take a build for as long as this process lives; Followed, when another run has it. go_on ends a wait that nobody wants."""
    os.makedirs(os.path.join(job.base, CLAIMS), mode=0o700, exist_ok=True)
    sweep(job.base)
    while True:
        descriptor = _take(os.path.join(job.base, CLAIMS, key))
        if descriptor is not None:
            _hold(job, descriptor)
            return
        holder = _holder(os.path.join(job.base, CLAIMS, key))
        if holder and job.other(holder).follow(job.run):
            raise Followed(holder)
        # It is about to end, or has only just begun.
        go_on()
        time.sleep(LOOK_SECONDS)


def _hold(job: Job, descriptor: int) -> None:
    """Write down whose the build is. The descriptor stays open, and with it the lock, until the process ends."""
    earlier = os.pread(descriptor, 64, 0).decode("ascii").strip()
    if earlier:
        with contextlib.suppress(FileNotFoundError):
            job.note_left(job.other(earlier))
    os.pwrite(descriptor, f"{job.run}\n".encode("ascii"), 0)


def _take(path: str) -> int | None:
    """The claim, locked, if nobody has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another run, or swept away meanwhile
    os.close(descriptor)
    return None


def _holder(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def sweep(base: str) -> None:
    """Remove claims of long ago that nobody has."""
    for entry in os.scandir(os.path.join(base, CLAIMS)):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - entry.stat().st_mtime > OLD_SECONDS:
                descriptor = _take(entry.path)
                if descriptor is not None:
                    os.unlink(entry.path)
                    os.close(descriptor)
