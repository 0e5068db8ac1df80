#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: builder_jobs_wait
short_description: Wait until builders are proved idle
version_added: 0.1.0
description:
  - Asks Prometheus, Hydra or the builders themselves, again and again, how many builds run on each builder, until no build was seen on
    any of them for long enough.
  - What is not known is not idle. What was idle and is not known any more begins anew.
  - One call waits for any number of builders. On the controller, an action plugin of the same name makes it in parts, tells how far it
    is, and takes it up again when the connection broke. It fails, whatever O(policy) says, when the host that asks cannot be reached for
    ten minutes, and with O(policy=fail) also when it cannot be reached at the end of O(timeout).
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.builder_jobs
  - nixmetal.builders.http_json
  - nixmetal.builders.builder_jobs.builders
  - nixmetal.builders.builder_jobs.ssh
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.action
attributes:
  check_mode:
    support: full
    details:
      - In check mode it looks once and does not wait.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - This module does not modify state.
  action:
    support: full
  async:
    support: none
options:
  quiet_seconds:
    description:
      - For how many seconds without a break no build must be seen on a builder.
      - A coordinator's Nix may have read its machines file just before a machine was taken out of it, and tries for some seconds more
        to give it a build.
    type: float
    default: 60
  pause_seconds:
    description:
      - How many seconds lie between two looks.
    type: float
    default: 10
  timeout:
    description:
      - After how many seconds O(policy) decides. The default is twelve hours.
    type: float
    default: 43200
  policy:
    description:
      - What happens when the time is over and a builder is not proved idle.
      - V(fail) fails, V(proceed) goes on and tells which are not idle, V(wait) says so and waits on without an end.
    type: str
    choices: [fail, proceed, wait]
    default: fail
  until:
    description:
      - Whether to wait until V(all) builders are idle, or until V(any) of them is.
    type: str
    choices: [all, any]
    default: all
  progress:
    description:
      - After how many seconds the first line tells how far it is. The pauses between the lines grow to ten minutes.
    type: float
    default: 30
  seen:
    description:
      - For how many seconds each builder was seen idle already, by its id, as an earlier call has returned it.
    type: dict
    default: {}
seealso:
  - module: nixmetal.builders.builder_jobs_info
"""

EXAMPLES = r"""
- name: Wait until a builder runs nothing any more, by its own word
  nixmetal.builders.builder_jobs_wait:
    source: ssh
    ssh_key: /etc/nixmetal/facts_ed25519
    ssh_user: build
    quiet_seconds: 120
    timeout: 3600
    builders:
      - id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
        address: 192.0.2.10
        host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKKmYZfVJnNzYy1pQqZCFCY4D5Q7ZBxqJm8tDFGvwSkM
"""

RETURN = r"""
builders:
  description: What was seen of each builder last, by its id.
  returned: success, and when the time is over
  type: dict
  contains:
    jobs:
      description: How many builds run there; null when that is not known.
      type: int
    source:
      description: The source that was asked.
      type: str
    label:
      description: What the source calls the builder.
      type: str
    reason:
      description: Why it is not known how many builds run there; null when it is known.
      type: str
    idle:
      description: Whether it is proved idle.
      type: bool
    idle_seconds:
      description: For how many seconds it was seen idle.
      type: float
  sample:
    5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01:
      jobs: 0
      source: ssh
      label: null
      reason: null
      idle: true
      idle_seconds: 120.4
idle:
  description: The ids of the builders that are proved idle.
  returned: success, and when the time is over
  type: list
  elements: str
  sample: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
not_idle:
  description: The ids of the others.
  returned: success, and when the time is over
  type: list
  elements: str
  sample: []
finished:
  description: Whether what O(until) names was reached.
  returned: success, and when the time is over
  type: bool
  sample: true
seen:
  description: For how many seconds each builder was seen idle, for a later call.
  returned: success, and when the time is over
  type: dict
  sample:
    5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01: 120.4
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import jobs_sources, jobs_watch
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import JobsError

ARGUMENTS = {
    **jobs_sources.SOURCE_OPTIONS,
    "quiet_seconds": {"type": "float", "default": 60},
    "pause_seconds": {"type": "float", "default": 10},
    "timeout": {"type": "float", "default": 43200},
    "policy": {"type": "str", "choices": ["fail", "proceed", "wait"], "default": "fail"},
    "until": {"type": "str", "choices": ["all", "any"], "default": "all"},
    "progress": {"type": "float", "default": 30},
    "seen": {"type": "dict", "default": {}},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=jobs_sources.REQUIRED_IF, supports_check_mode=True)
    try:
        watched = jobs_watch.wait_from(module.params, module.check_mode)
    except JobsError as error:
        module.fail_json(msg=str(error))
    if not watched["finished"] and module.params["policy"] == "fail" and not module.check_mode:
        module.fail_json(msg=jobs_watch.late_words(watched, module.params["timeout"]), **watched)
    module.exit_json(changed=False, **watched)


if __name__ == "__main__":
    main()
