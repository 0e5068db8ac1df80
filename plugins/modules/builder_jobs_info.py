#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: builder_jobs_info
short_description: Tell how many builds run on builders
version_added: 0.1.0
description:
  - Asks Prometheus, Hydra or the builders themselves how many builds run on each builder.
  - What is not known is null with the reason, and never 0. A source that cannot be reached, that answers something else, that has no
    entry for a builder or two of them, or whose sample is old, knows nothing.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.builder_jobs
  - nixmetal.builders.http_json
  - nixmetal.builders.builder_jobs.builders
  - nixmetal.builders.builder_jobs.ssh
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
seealso:
  - module: nixmetal.builders.builder_jobs_wait
"""

EXAMPLES = r"""
- name: See what Prometheus says of two builders
  nixmetal.builders.builder_jobs_info:
    source: prometheus
    url: https://prometheus.example.org
    builders:
      - id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
        label: build@192.0.2.10
      - id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e02
        label: build@192.0.2.11
  register: jobs

- name: Show those that nobody knows of
  ansible.builtin.debug:
    msg: "{{ jobs.builders | dict2items | selectattr('value.jobs', 'none') | map(attribute='key') }}"
"""

RETURN = r"""
builders:
  description: What is known of each builder, by its id.
  returned: success
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
  sample:
    5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01:
      jobs: 3
      source: prometheus
      label: build@192.0.2.10
      reason: null
unknown:
  description: The ids of the builders of which nothing is known.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet import jobs_sources, jobs_watch
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.jobs import JobsError


def main() -> None:
    module = AnsibleModule(
        argument_spec=jobs_sources.SOURCE_OPTIONS, required_if=jobs_sources.REQUIRED_IF, supports_check_mode=True
    )
    try:
        readings = jobs_sources.reader_from(module.params)(jobs_sources.targets_from(module.params))
    except JobsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        builders={name: jobs_watch.reading_result(reading) for name, reading in readings.items()},
        unknown=[name for name, reading in readings.items() if reading.jobs is None],
    )


if __name__ == "__main__":
    main()
