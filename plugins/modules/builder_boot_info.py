#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: builder_boot_info
short_description: Ask builders over SSH what they have booted
version_added: 0.1.0
description:
  - Asks each builder over SSH, all at once, for its boot id, its image id, and how many builds it runs. Only the host key that the
    builder has published is believed, so the answer is the machine's that the inventory means.
  - A state "active" and a port that answers prove nothing of a boot; a new boot id and the expected image id do.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.builder_jobs.builders
  - nixmetal.builders.builder_jobs.ssh
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
seealso:
  - module: nixmetal.builders.builder_jobs_info
"""

EXAMPLES = r"""
- name: See what a machine has booted
  nixmetal.builders.builder_boot_info:
    ssh_key: /etc/nixmetal/facts_ed25519
    builders:
      - id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
        address: 192.0.2.10
        user: build
        host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKKmYZfVJnNzYy1pQqZCFCY4D5Q7ZBxqJm8tDFGvwSkM
  register: booted
"""

RETURN = r"""
builders:
  description: What each builder has answered, by its id.
  returned: success
  type: dict
  contains:
    boot_id:
      description: The kernel's boot id; null when there was no answer.
      type: str
    image_id:
      description: The image id of the kernel's command line; null when there was no answer, or none in it.
      type: str
    jobs:
      description: How many builds it runs; null when that is not known.
      type: int
    problem:
      description: Why there was no answer; null when there was one.
      type: str
  sample:
    5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01:
      boot_id: 86dd3787-7453-4af5-a3c5-1e03b4ea61dd
      image_id: yd7qgwq5361hpmbzmx3civrcjkx3nih0-lab-image
      jobs: 0
      problem: null
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import jobs_sources, ssh_facts
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import target_from

ARGUMENTS = {
    "builders": {"type": "list", "elements": "dict", "required": True, "options": jobs_sources.BUILDER_OPTIONS},
    **jobs_sources.SSH_OPTIONS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    targets = [target_from(entry) for entry in module.params["builders"]]
    answers = ssh_facts.read_facts(jobs_sources.ssh_settings(module.params), targets)
    module.exit_json(changed=False, builders={name: dataclasses.asdict(answer) for name, answer in answers.items()})


if __name__ == "__main__":
    main()
