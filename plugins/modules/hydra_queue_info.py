#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hydra_queue_info
short_description: Read how many steps wait in a Hydra's queue
version_added: 0.1.0
description:
  - Reads how many build steps are runnable and running, by system and required features, which is what a fleet is
    scaled by.
  - Understands the older queue runner, which tells C(machineTypes), and the newer one (since March 2026), which tells steps by system only.
  - A queue that could not be read is V(null), with the reason beside it. It is never told as empty.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.http_json
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
options:
  url:
    description:
      - The address of the status, such as V(https://hydra.example.org/queue-runner-status), or of the newer queue runner itself, such as
        V(http://localhost:8080/status).
    type: str
    required: true
  max_age_seconds:
    description:
      - How old the status of the older queue runner may be.
    type: float
    default: 120
seealso:
  - module: nixmetal.builders.builder_jobs_info
  - plugin: nixmetal.builders.autoscale_plan
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the queue
  nixmetal.builders.hydra_queue_info:
    url: https://hydra.example.org/queue-runner-status
  register: found

- name: Show what waits
  ansible.builtin.debug:
    msg: "{{ found.queue if found.queue is not none else found.reason }}"
"""

RETURN = r"""
queue:
  description: The steps by machine type; V(null) when they are not known.
  returned: success
  type: list
  elements: dict
  contains:
    system:
      description: The system of the steps.
      returned: always
      type: str
      sample: x86_64-linux
    features:
      description: The features that the steps require; V(null) when the queue runner does not tell.
      returned: always
      type: list
      elements: str
      sample: [big-parallel]
    runnable:
      description: How many could run and wait for a machine.
      returned: always
      type: int
      sample: 4000
    running:
      description: How many run.
      returned: always
      type: int
      sample: 96
reason:
  description: Why the queue is not known; empty when it is.
  returned: success
  type: str
  sample: ""
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils import http_json
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.queue import read_queue

ARGUMENTS = {
    "url": {"type": "str", "required": True},
    **http_json.OPTIONS,
    "max_age_seconds": {"type": "float", "default": 120.0},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    try:
        answer = http_json.read_as_asked(asked["url"], asked)
        queue = [waiting._asdict() for waiting in read_queue(answer, time.time(), asked["max_age_seconds"])]
    except (http_json.HttpJsonError, FleetError) as error:
        module.exit_json(changed=False, queue=None, reason=str(error))
    module.exit_json(changed=False, queue=queue, reason="")


if __name__ == "__main__":
    main()
