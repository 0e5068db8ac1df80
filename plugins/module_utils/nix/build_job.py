# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One step of a build that somebody looks at: what module nix_build_job does."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any, Callable

from .arguments import request, settings
from .build_progress import BuildProgress
from .building import build
from .claim import Followed, claim, key_of
from .command import Nix
from .job import FOLLOWS, Answer, Job

# Beside what Ansible itself keeps there, and like that the user's own.
BASE = "~/.ansible/nixmetal-builds"


def step(params: Mapping[str, Any]) -> Answer:
    """Start a build, wait for it, or do without it."""
    job = Job(os.path.expanduser(BASE), params["run"], socket.gethostname(), params["lease"])
    seconds = params["seconds"]
    if params["operation"] == "stop":
        return job.stop(seconds)
    if params["operation"] == "start":
        wanted = params["build"]
        job.start(lambda running: _work(running, wanted))
    return job.wait(seconds)


def _work(job: Job, wanted: dict[str, Any]) -> Answer:
    progress = BuildProgress()
    nix = Nix(settings(wanted), watch=progress.take)
    ended = threading.Event()
    attending = threading.Thread(target=job.attend, args=(nix.stop, progress.shown, ended), daemon=True)
    attending.start()
    try:
        return build(nix, dataclasses.replace(request(wanted), claim=_claimer(job, nix, wanted))).public()
    except Followed as other:
        return {FOLLOWS: other.run}
    finally:
        ended.set()
        attending.join()


def _claimer(job: Job, nix: Nix, wanted: dict[str, Any]) -> Callable[[str], None]:
    return lambda what: claim(job, key_of(nix.host, what, wanted, os.environ), nix.go_on)
