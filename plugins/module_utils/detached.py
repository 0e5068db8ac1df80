# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that outlives the module run that began it."""

from __future__ import annotations

import os
import signal
from typing import Callable, NoReturn


def detach(work: Callable[[], None]) -> None:
    """Do work in a process of its own, which is nobody's child and holds nothing of the module run but its open pipes.

    The work has to import what it needs before: the module's own files are gone when the module run ends.
    """
    child = os.fork()
    if child == 0:
        _leave(work)
    os.waitpid(child, 0)


def _leave(work: Callable[[], None]) -> NoReturn:
    """In the child: let go of everything of the module run, then work. It never comes back."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        work()
    finally:
        os._exit(0)
