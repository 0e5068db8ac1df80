#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_device_tags
short_description: Add tags to machines of Equinix Metal, or take them off
version_added: 0.1.0
description:
  - Makes sure that machines of a fleet have, or lack, some tags. All other tags stay.
  - The API replaces the tags of a machine whole and knows no condition, so two writers can undo each other's edit. As far as that
    allows, the module reads the tags just before it writes, reads them again after a moment, and does again what is not as it should
    be.
  - When one of the machines is gone, or lacks the fleet's tag, none is changed. An error in the middle may leave some of them changed;
    to run the task again does the rest.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.metal
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.action_group_metal
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
      - Whether the machines shall have the tags, or lack them.
    type: str
    choices: [present, absent]
    default: present
  fleet:
    description:
      - The name of the fleet that owns the machines, which must carry the tag C(nixmetal-fleet=FLEET).
    type: str
    required: true
  machines:
    description:
      - The tags of each machine, as a list, by the machine's id (UUID).
      - Tags that say whose the machine is (C(nixmetal-fleet=), C(nixmetal-bid=), C(nixmetal-order=)) are refused.
    type: dict
    required: true
seealso:
  - module: nixmetal.builders.metal_device_info
"""

EXAMPLES = r"""
- name: Keep builds away from two machines
  nixmetal.builders.metal_device_tags:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    machines:
      5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01: [skip-hydra=rollout]
      0c7c4c0e-6a55-4c55-9d0c-2f6d6f1b7a02: [skip-hydra=rollout]

- name: Give one of them builds again
  nixmetal.builders.metal_device_tags:
    state: absent
    fleet: hydra
    machines:
      5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01: [skip-hydra=rollout]
"""

RETURN = r"""
machines:
  description: All tags afterwards by the machine's id, as read from the API, or in check mode as they would be.
  returned: success
  type: dict
  sample:
    5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01: [hydra, nixmetal-fleet=hydra, nixmetal-bid=small, skip-hydra=rollout]
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_tags
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_TAGS_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(DEVICE_TAGS_OPTIONS)
    run(module, lambda options, check_mode: device_tags.apply(make_client(options), options, check_mode))


if __name__ == "__main__":
    main()
