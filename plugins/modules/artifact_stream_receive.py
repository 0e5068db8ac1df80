#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_stream_receive
short_description: The receiving side of M(nixmetal.builders.artifact_stream)
version_added: 0.1.0
description:
  - One step of a transfer on the destination host. M(nixmetal.builders.artifact_stream) runs it; it is of no use in a playbook.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.stream_side
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details:
      - A step of a transfer is not repeated.
options:
  operation:
    description: The step.
    type: str
    required: true
    choices: [plan, listen, connect, wait, stop]
  dest:
    description: The blob store or the directory that receives.
    type: path
seealso:
  - module: nixmetal.builders.artifact_stream
"""

EXAMPLES = r"""
- name: See what a destination lacks (artifact_stream does this, and all that follows)
  nixmetal.builders.artifact_stream_receive:
    operation: plan
    dest: /srv/example
    layout: directory
    manifest: '{"schema": 1, "layout": "directory", "directories": [], "files": []}'
  check_mode: true
"""

RETURN = r"""
files_total:
  description: Number of different contents in the manifest.
  returned: O(operation=plan), O(operation=listen) or O(operation=connect)
  type: int
  sample: 6
bytes_total:
  description: Their bytes.
  returned: O(operation=plan), O(operation=listen) or O(operation=connect)
  type: int
  sample: 59302336
files_lacking:
  description: Names of files that have to travel, the first thousand.
  returned: O(operation=plan), O(operation=listen) or O(operation=connect)
  type: list
  elements: str
  sample: [kernel, initrd-00-stage-1, 10-libraries.squashfs]
files_lacking_count:
  description: Number of files that have to travel.
  returned: O(operation=plan), O(operation=listen) or O(operation=connect)
  type: int
  sample: 6
bytes_lacking:
  description: Their bytes.
  returned: O(operation=plan), O(operation=listen) or O(operation=connect)
  type: int
  sample: 59302336
bytes_resumable:
  description: How much of that an interrupted transfer left here.
  returned: O(operation=plan), O(operation=listen) or O(operation=connect)
  type: int
  sample: 0
port:
  description: The port that is listened on.
  returned: O(operation=listen), when something is lacking
  type: int
  sample: 40001
finished:
  description: Whether the process has ended.
  returned: O(operation=wait) or O(operation=stop)
  type: bool
  sample: true
outcome:
  description: How it ended.
  returned: when finished
  type: dict
  sample: {bytes_sent: 59302336, changed: true}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import receive_side
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.arguments import RECEIVE
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError


def main() -> None:
    """Run the module."""
    # no_log: the manifest would fill the host's log.
    module = AnsibleModule(argument_spec=RECEIVE, supports_check_mode=True, no_log=True)
    try:
        result = receive_side.run(module.params, module.check_mode)
    except (StreamError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
