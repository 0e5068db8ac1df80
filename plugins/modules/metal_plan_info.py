#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_plan_info
short_description: List the plans that an Equinix Metal project may buy
version_added: 0.1.0
description:
  - Lists the plans (kinds of hardware) that a project may buy, by their slug, and where each is sold.
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
      - The slugs of the plans to list. All when empty.
    type: list
    elements: str
    default: []
seealso:
  - module: nixmetal.builders.metal_spot_price_info
  - module: nixmetal.builders.metal_capacity_info
"""

EXAMPLES = r"""
- name: Find out where a plan is sold
  nixmetal.builders.metal_plan_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    plans: [c3.large.arm64]
    query: "[0].metros"
  register: sold
"""

RETURN = r"""
plans:
  description: The plans, by their slug.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the plan.
      returned: always
      type: str
      sample: 3c0a7f9e-7f0e-4a55-9d0e-6d6574616c31
    slug:
      description: The slug, which other modules take.
      returned: always
      type: str
      sample: c3.large.arm64
    name:
      description: The name.
      returned: always
      type: str
      sample: c3.large.arm64
    class:
      description: The class, which may differ from the slug.
      returned: always
      type: str
      sample: c3.large.arm
    deployment_types:
      description: How it can be bought, C(on_demand) and C(spot_market).
      returned: always
      type: list
      elements: str
      sample: [on_demand, spot_market]
    price_usd_per_hour:
      description: The price on demand, in USD per hour; null when the API does not tell. A metro may have its own.
      returned: always
      type: float
      sample: 2.5
    metros:
      description: The codes of the metros where it is sold.
      returned: always
      type: list
      elements: str
      sample: [da, dc]
    specs:
      description: The hardware, as the API tells it.
      returned: always
      type: dict
      sample: {memory: {total: 256GB}}
unknown_plans:
  description: The wanted plans that the project may not buy or that do not exist.
  returned: success
  type: list
  elements: str
  sample: []
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: [da, dc]
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import catalogue_info
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import PLAN_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(PLAN_INFO_OPTIONS)
    run(module, lambda options, _check_mode: catalogue_info.inform_of_plans(make_client(options), options))


if __name__ == "__main__":
    main()
