#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_stream_send
short_description: The sending side of M(nixmetal.builders.artifact_stream)
version_added: 0.1.0
description:
  - One step of a transfer on the source host. M(nixmetal.builders.artifact_stream) runs it; it is of no use in a playbook.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.stream_side
attributes:
  check_mode:
    support: full
    details:
      - The step V(prepare), the only one that is run in check mode, changes nothing.
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
    choices: [prepare, listen, connect, wait, stop]
  src:
    description: The directory to send.
    type: path
  bandwidth_limit:
    description: Bytes per second to send at most; V(0) is no limit.
    type: int
    default: 0
seealso:
  - module: nixmetal.builders.artifact_stream
"""

EXAMPLES = r"""
- name: See what a directory would send (artifact_stream does this, and all that follows)
  nixmetal.builders.artifact_stream_send:
    operation: prepare
    src: /etc/ssl/openssl.cnf.d
    layout: directory
  failed_when: false
"""

RETURN = r"""
manifest:
  description: The manifest's text.
  returned: O(operation=prepare)
  type: str
  sample: '{"schema": 1, "image_id": "f2g3…-lab-image"}'
files_total:
  description: Number of files in the manifest.
  returned: O(operation=prepare)
  type: int
  sample: 6
bytes_total:
  description: Bytes of all different contents.
  returned: O(operation=prepare)
  type: int
  sample: 59302336
port:
  description: The port that is listened on.
  returned: O(operation=listen)
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
  sample: {bytes_sent: 59302336}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import send_side
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.arguments import SEND
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError


def main() -> None:
    """Run the module."""
    # no_log: the manifest would fill the host's log.
    module = AnsibleModule(argument_spec=SEND, supports_check_mode=True, no_log=True)
    try:
        result = send_side.run(module.params)
    except (StreamError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
