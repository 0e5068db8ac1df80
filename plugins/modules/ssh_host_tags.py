#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_host_tags
short_description: Keep the tags of machines of your own
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Adds tags to machines, or takes them off, in a JSON file on the host on which it runs, the coordinator. The provider role
    P(nixmetal.builders.ssh_host#role) uses it, and the inventory plugin P(nixmetal.builders.ssh_builders#inventory) reads the file.
  - The file is edited under a lock and replaced by a rename. One that is missing or malformed is not taken for one without tags.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) adds the tags of O(machines), V(absent) takes them off. All other tags stay.
      - V(initialised) makes the file, once, when there is none.
    type: str
    choices: [present, absent, initialised]
    default: present
  path:
    description: Path of the file.
    type: path
    required: true
  machines:
    description: Tags of each machine, as a list, by the machine's id.
    type: dict
  declared:
    description:
      - Tags that the inventory declares for each machine, as a list, by the machine's id. They are in RV(machines), and cannot be taken
        off here.
    type: dict
    default: {}
extends_documentation_fragment:
  - nixmetal.builders.attributes
seealso:
  - plugin: nixmetal.builders.ssh_builders
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Make the file
  nixmetal.builders.ssh_host_tags:
    state: initialised
    path: /var/lib/nixmetal/ssh_host/ci.json

- name: Keep builds away from a machine
  nixmetal.builders.ssh_host_tags:
    path: /var/lib/nixmetal/ssh_host/ci.json
    machines:
      rack1-a: [skip-hydra]
"""

RETURN = r"""
machines:
  description: All tags afterwards by the machine's id, the declared ones first.
  returned: when O(state) is not V(initialised)
  type: dict
  sample:
    rack1-a: [big-parallel, skip-hydra]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.tags_file import edit_tags, initialise
from ansible_collections.nixmetal.builders.plugins.module_utils.tag_edits import Edit, are_texts

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent", "initialised"], "default": "present"},
    "path": {"type": "path", "required": True},
    "machines": {"type": "dict"},
    "declared": {"type": "dict", "default": {}},
}
REQUIRED_IF = [("state", "present", ("machines",)), ("state", "absent", ("machines",))]


def run(options: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """What the module answers."""
    if options["state"] == "initialised":
        return {"changed": initialise(options["path"], check_mode)}
    wanted, declared = _lists(options, "machines"), _lists(options, "declared")
    edits = {
        machine: _edit(machine, tags, declared.get(machine, []), options["state"]) for machine, tags in wanted.items()
    }
    before, after = edit_tags(options["path"], edits, check_mode)
    return {
        "changed": before != after,
        "machines": {
            machine: own + [tag for tag in after[machine] if tag not in own]
            for machine, own in ((machine, declared.get(machine, [])) for machine in wanted)
        },
        "diff": {"before": before, "after": after},
    }


def _lists(options: dict[str, Any], name: str) -> dict[str, list[str]]:
    for machine, tags in options[name].items():
        if not are_texts(tags):
            raise FleetError(f"{name}: {machine} has a list of tags, not {tags!r}")
    return dict(options[name])


def _edit(machine: str, tags: list[str], declared: list[str], state: str) -> Edit:
    if state == "present":
        return Edit(add=tuple(tag for tag in tags if tag not in declared))
    fixed = sorted(set(tags) & set(declared))
    if fixed:
        raise FleetError(
            f"machines: {', '.join(fixed)} of {machine} is declared in the inventory; take it out of the machine's tags there"
        )
    return Edit(remove=tuple(tags))


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    try:
        answer = run(module.params, module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"the file of tags {module.params['path']}: {error.strerror or error}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
