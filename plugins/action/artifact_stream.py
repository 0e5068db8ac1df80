# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stream a directory from one host to another: drives the sender and the receiver, and never sees the payload."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nixmetal.builders.plugins.module_utils.stream.arguments import STREAM
from ansible_collections.nixmetal.builders.plugins.plugin_utils import progress_lines
from ansible_collections.nixmetal.builders.plugins.plugin_utils.second_host import Side, open_second_host
from ansible_collections.nixmetal.builders.plugins.plugin_utils.stream_transfer import Transfer

display = Display()


class ActionModule(ActionBase):
    """The task's host is the destination."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do the transfer."""
        variables = task_vars or {}
        result = super().run(tmp, variables)
        _validated, options = self.validate_argument_spec(argument_spec=STREAM)
        for path in ("src", "dest"):  # a ~ is that of the user on the host, not that of who runs the playbook
            options[path] = str(self._task.args[path])
        destination = Side(self._task.delegate_to or variables["inventory_hostname"], self, variables)
        source = open_second_host(self, options["source"], variables)
        route = f"{source.name} -> {destination.name}"
        transfer = Transfer(
            source, destination, options, lambda progress: display.display(progress_lines.line(route, progress))
        )
        try:
            result.update(transfer.run(self._task.check_mode))
        finally:
            source.cleanup()
        result.update(source=source.name, image_id=None, manifest=None)
        if options["layout"] == "image":
            manifest = json.loads(transfer.manifest)
            result.update(manifest=manifest, image_id=manifest["image_id"])
        for refused in result["refused"]:
            display.warning(f"{route}: refused a connection from {refused['address']}: {refused['reason']}")
        return dict(result)
