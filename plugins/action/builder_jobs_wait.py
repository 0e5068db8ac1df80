# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module builder_jobs_wait, in parts: with lines that tell how far it is, and taken up again when the connection broke."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs_watch import late_words
from ansible_collections.nixmetal.builders.plugins.plugin_utils.jobs_waiting import JobsWaiting, check_options

display = Display()
MODULE = "nixmetal.builders.builder_jobs_wait"
PAUSE = 5.0  # seconds before a broken connection is taken up again


class ActionModule(ActionBase):
    """Waits on the task's host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait until the builders are idle, or until the policy decides."""
        variables = task_vars or {}
        result = super().run(tmp, variables)
        arguments = dict(self._task.args)
        if self._task.check_mode:
            result.update(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=variables))
            return dict(result)
        options = check_options(arguments)
        waiting = JobsWaiting(options, lambda part: self._part({**arguments, **part}, variables), display.display)
        answer = waiting.run()
        if not answer.get("failed") and not answer["finished"] and options.policy == "fail":
            answer = {**answer, "failed": True, "msg": late_words(answer, options.timeout)}
        result.update(answer)
        return dict(result)

    def _part(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any] | None:
        """One call of the module; nothing when the connection broke, which is no proof of anything."""
        try:
            return dict(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=variables))
        except AnsibleConnectionFailure as problem:
            display.warning(f"builder_jobs_wait: the connection broke ({problem}); trying again")
            time.sleep(PAUSE)
            self._connection.reset()
            return None
