# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One step of a build that somebody looks at: what module nix_build_job does."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

from .arguments import request, settings
from .build_progress import BuildProgress
from .building import build
from .command import Nix
from .job import Answer, Job, key_of

# Beside what Ansible itself keeps there, and like that the user's own.
BASE = "~/.ansible/nixmetal-builds"


def step(params: Mapping[str, Any]) -> Answer:
    """Start a build, wait for it, or make it end."""
    wanted = params["build"]
    job = Job(os.path.expanduser(BASE), key_of(wanted), socket.gethostname(), params["lease"])
    seconds = params["seconds"]
    if params["operation"] == "stop":
        return job.stop(seconds)
    if params["operation"] == "wait":
        return job.wait(seconds)
    started = job.start(lambda running: _work(running, wanted))
    return {**started, **job.wait(seconds)}


def _work(job: Job, wanted: dict[str, Any]) -> Answer:
    progress = BuildProgress()
    nix = Nix(settings(wanted), watch=progress.take)
    ended = threading.Event()
    attending = threading.Thread(target=job.attend, args=(nix.stop, progress.shown, ended), daemon=True)
    attending.start()
    try:
        return build(nix, request(wanted)).public()
    finally:
        ended.set()
        attending.join()
