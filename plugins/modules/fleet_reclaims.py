#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_reclaims
short_description: Remember which machines the provider took back
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Appends machines to a file on the host on which it runs, the coordinator, a JSON object a line, each machine once.
  - The role P(nixmetal.builders.spot_fleet#role) reads it, and buys no more for a while where machines are taken back again and again.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description: Path of the file. Its directory is made when it is missing.
    type: path
    required: true
  reclaims:
    description: The machines.
    type: list
    elements: dict
    required: true
    suboptions:
      at:
        description: When it was learned, in UTC, as C(2026-03-01T12:00:00Z).
        type: str
        required: true
      device_id:
        description: Id of the machine.
        type: str
        required: true
      plan:
        description: Its plan.
        type: str
        required: true
      metro:
        description: Its metro.
        type: str
        required: true
      termination_time:
        description: When the provider takes it back.
        type: str
        required: true
extends_documentation_fragment:
  - nixmetal.builders.attributes
seealso:
  - plugin: nixmetal.builders.builder_reclaim_entries
    plugin_type: filter
  - plugin: nixmetal.builders.spot_fleet_pauses
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Remember a reclaim
  nixmetal.builders.fleet_reclaims:
    path: /var/lib/nixmetal/reclaims/ci.jsonl
    reclaims:
      - at: '2026-03-01T12:00:00Z'
        device_id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
        plan: c3.small.x86
        metro: am
        termination_time: '2026-03-01T12:02:00Z'
"""

RETURN = r"""
new:
  description: Ids of the machines of which nothing was remembered before.
  returned: success
  type: list
  elements: str
  sample: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.reclaims import FIELDS, remember_reclaims

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "reclaims": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {name: {"type": "str", "required": True} for name in FIELDS},
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    path = module.params["path"]
    try:
        new = remember_reclaims(path, module.params["reclaims"], module.check_mode)
    except FleetError as error:
        module.fail_json(msg=f"{path}: {error}")
    except OSError as error:
        module.fail_json(msg=f"{path}: {error.strerror or error}")
    module.exit_json(changed=bool(new), new=new)


if __name__ == "__main__":
    main()
