#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_device_tags
short_description: Add tags to a machine of Equinix Metal, or take them off
version_added: 0.1.0
description:
  - Makes sure that a machine of a fleet has, or lacks, some tags. All other tags stay.
  - The API replaces the tags of a machine whole and knows no condition, so two writers can undo each other's edit. As far as that
    allows, the module reads the tags just before it writes, reads them again after a moment, and does again what is not as it should
    be.
  - A machine without the fleet's tag is left alone.
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
      - Whether the machine shall have the tags, or lack them.
    type: str
    choices: [present, absent]
    default: present
  fleet:
    description:
      - The name of the fleet that owns the machine, which must carry the tag C(nixmetal-fleet=FLEET).
    type: str
    required: true
  device_id:
    description:
      - The id (UUID) of the machine.
    type: str
    required: true
  tags:
    description:
      - The tags. Those that say whose the machine is (C(nixmetal-fleet=), C(nixmetal-bid=), C(nixmetal-order=)) are refused.
    type: list
    elements: str
    required: true
seealso:
  - module: nixmetal.builders.metal_device_info
"""

EXAMPLES = r"""
- name: Keep builds away from a machine
  nixmetal.builders.metal_device_tags:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    device_id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
    tags: [skip-hydra=rollout]

- name: Give it builds again
  nixmetal.builders.metal_device_tags:
    state: absent
    fleet: hydra
    device_id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
    tags: [skip-hydra=rollout]
"""

RETURN = r"""
device_id:
  description: The id of the machine.
  returned: success
  type: str
  sample: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
tags:
  description: All tags afterwards, as read from the API, or in check mode as they would be.
  returned: success
  type: list
  elements: str
  sample: [hydra, nixmetal-fleet=hydra, nixmetal-bid=small, skip-hydra=rollout]
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
