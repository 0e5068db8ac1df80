#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_capacity_info
short_description: Tell how many machines of a plan Equinix Metal has left in a metro
version_added: 0.1.0
description:
  - Tells how much is left of each plan in each metro, and whether a number of machines can be had there now.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.metal
  - nixmetal.builders.metal.query
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
  - nixmetal.builders.attributes.action_group_metal
options:
  plans:
    description:
      - The slugs of the plans. All when empty.
    type: list
    elements: str
    default: []
  metros:
    description:
      - The codes of the metros. All when empty.
    type: list
    elements: str
    default: []
  quantity:
    description:
      - A number of machines. For each plan and metro the API is asked whether so many are available.
    type: int
seealso:
  - module: nixmetal.builders.metal_spot_price_info
"""

EXAMPLES = r"""
- name: Find a metro that has four machines left
  nixmetal.builders.metal_capacity_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    plans: [c3.small.x86]
    metros: [am, da]
    quantity: 4
    query: "[?available].metro"
  register: roomy
"""

RETURN = r"""
capacity:
  description: One entry for each plan and metro that the API tells of.
  returned: success
  type: list
  elements: dict
  contains:
    plan:
      description: The plan's slug.
      returned: always
      type: str
      sample: c3.small.x86
    metro:
      description: The metro's code.
      returned: always
      type: str
      sample: am
    level:
      description: The API's word for how much is left, C(normal), C(limited), C(critical) or C(unavailable).
      returned: always
      type: str
      sample: normal
    available_servers:
      description: The number of machines left; null when the API does not tell.
      returned: always
      type: int
      sample: 37
    available:
      description: Whether O(quantity) machines are available; null when the API does not answer for this entry.
      returned: when O(quantity) is given
      type: bool
      sample: true
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: [am, da]
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import catalogue_info
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import CAPACITY_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(CAPACITY_INFO_OPTIONS)
    run(module, lambda options, _check_mode: catalogue_info.inform_of_capacity(make_client(options), options))


if __name__ == "__main__":
    main()
