# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module nix_build, with lines in the playbook's output that tell how far a long build is."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nixmetal.builders.plugins.plugin_utils import progress_lines
from ansible_collections.nixmetal.builders.plugins.plugin_utils.build_following import Following
from ansible_collections.nixmetal.builders.plugins.plugin_utils.second_host import Side

display = Display()


class ActionModule(ActionBase):
    """Runs the module itself, unless somebody wants to see the build move."""

    _supports_check_mode = True
    _supports_async = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Build."""
        variables = task_vars or {}
        result = super().run(tmp, variables)
        every = self._seconds()
        if not every or self._task.check_mode or self._task.async_val:
            in_background = self._task.async_val and not self._connection.has_native_async
            result.update(self._execute_module(task_vars=variables, wrap_async=in_background))
            return dict(result)
        host = Side(self._task.delegate_to or variables["inventory_hostname"], self, variables)
        following = Following(
            host,
            {name: value for name, value in self._task.args.items() if name != "progress"},
            every,
            display.display,
            lambda progress: display.display(progress_lines.build_line(host.name, progress)),
        )
        result.update(following.run())
        return dict(result)

    def _seconds(self) -> int:
        wanted = self._task.args.get("progress", 0)
        try:
            seconds = int(wanted)
        except (TypeError, ValueError):
            seconds = -1
        if seconds < 0:
            raise AnsibleActionFail(f"nix_build: progress is {wanted!r}, not a number of seconds (0 for no lines)")
        return seconds
