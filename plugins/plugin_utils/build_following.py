# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build on a host, followed from the controller: begun, looked at every few seconds, and taken up again when the connection broke."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleConnectionFailure

from .second_host import Side

JOB = "nixmetal.builders.nix_build_job"
ANSWER_SECONDS = 60.0  # for a module to start and answer on a busy host
FIRST_SECONDS = 2.0  # a build with nothing to do has ended by then
PAUSE = 1.0  # before a broken connection is taken up again
PATIENCE = 120.0  # seconds; the host keeps the build for longer than that
Result = dict[str, Any]
LOST = (
    "The connection to {host} was lost while Nix was at work there, and could not be taken up again for {seconds:g} seconds: {problem}. "
    "The build goes on there for at most five minutes without Ansible; then it is ended, and what was built is kept. "
    "Run this again: a build that still runs is followed, and otherwise it goes on from what was built."
)


class Following:
    """One build."""

    def __init__(
        self,
        host: Side,
        build: Result,
        every: float,
        say: Callable[[str], None],
        show: Callable[[Result], None],
        patience: float = PATIENCE,
    ) -> None:
        self._host = host
        self._build = build
        self._every = every
        self._say = say
        self._show = show
        self._patience = patience

    def run(self) -> Result:
        """Build; what module nix_build would return."""
        attached = False
        try:
            answer = self._ask("start", min(FIRST_SECONDS, self._every))
            if answer.get("failed"):
                return answer
            attached = answer["attached"]
            self._tell(answer)
            while not answer["finished"]:
                self._show(answer["progress"])
                answer = self._ask("wait", self._every)
            return dict(answer["outcome"])
        except AnsibleConnectionFailure:
            raise  # the build is not to end with the connection
        except BaseException:
            if not attached:  # a build that another run began is that one's to end
                self._stop()
            raise

    def _tell(self, answer: Result) -> None:
        if answer["attached"]:
            self._say(f"{self._host.name}: this build runs already, begun by an earlier run: following it")
        elif answer["left"]:
            self._say(f"{self._host.name}: of an earlier run that nobody saw end: {answer['left']}")

    def _ask(self, operation: str, seconds: float) -> Result:
        """One step, tried again as long as the connection is broken and there is hope."""
        last_seen = time.monotonic()
        while True:
            try:
                return self._step(operation, seconds)
            except AnsibleConnectionFailure as problem:
                if time.monotonic() - last_seen > self._patience:
                    raise AnsibleConnectionFailure(
                        LOST.format(host=self._host.name, seconds=self._patience, problem=problem)
                    ) from problem
                time.sleep(PAUSE)
                self._host.reset()

    def _step(self, operation: str, seconds: float) -> Result:
        within = ANSWER_SECONDS + seconds
        return self._host.run(JOB, within, operation=operation, seconds=seconds, build=self._build)

    def _stop(self) -> None:
        try:
            self._host.reset()  # the connection may be what broke
            self._step("stop", 5.0)
        except AnsibleConnectionFailure:
            self._say(
                f"{self._host.name}: could not be told to stop; the build there ends by itself within five minutes"
            )
