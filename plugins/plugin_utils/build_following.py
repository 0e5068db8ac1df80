# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build on a host, followed from the controller: begun, looked at every few seconds, and taken up again when the connection broke."""

from __future__ import annotations

import secrets
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
ATTACHED = "this build runs already, begun by an earlier run: following it"
LEFT = "of an earlier run that nobody saw end: "
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
        # So that a step whose answer was lost can be said again, and another run's build is never taken for this one's.
        self._run_id = secrets.token_hex(16)
        self._told: set[str] = set()

    def run(self) -> Result:
        """Build; what module nix_build would return."""
        try:
            answer = self._ask("start", min(FIRST_SECONDS, self._every), build=self._build)
            self._tell(answer)
            while not answer.get("failed") and not answer["finished"]:
                self._show(answer["progress"])
                answer = self._ask("wait", self._every)
                self._tell(answer)
        except AnsibleConnectionFailure:
            raise  # the build is not to end with the connection
        except BaseException:
            self._stop()
            raise
        if answer.get("failed"):
            # The step itself failed, not the build, of which nothing more can be known.
            self._stop()
            return answer
        return dict(answer["outcome"])

    def _tell(self, answer: Result) -> None:
        for news in (ATTACHED if answer.get("attached") else "", LEFT + answer["left"] if answer.get("left") else ""):
            if news and news not in self._told:
                self._told.add(news)
                self._say(f"{self._host.name}: {news}")

    def _ask(self, operation: str, seconds: float, **more: Any) -> Result:
        """One step, tried again as long as the connection is broken and there is hope."""
        last_seen = time.monotonic()
        while True:
            try:
                return self._step(operation, seconds, **more)
            except AnsibleConnectionFailure as problem:
                if time.monotonic() - last_seen > self._patience:
                    raise AnsibleConnectionFailure(
                        LOST.format(host=self._host.name, seconds=self._patience, problem=problem)
                    ) from problem
                time.sleep(PAUSE)
                self._host.reset()

    def _step(self, operation: str, seconds: float, **more: Any) -> Result:
        within = ANSWER_SECONDS + seconds
        return self._host.run(JOB, within, operation=operation, run=self._run_id, seconds=seconds, **more)

    def _stop(self) -> None:
        try:
            self._host.reset()  # the connection may be what broke
            stopped = not self._step("stop", 5.0).get("failed")
        except AnsibleConnectionFailure:
            stopped = False
        if not stopped:
            self._say(f"{self._host.name}: could not be told to stop; a build there ends by itself within five minutes")
