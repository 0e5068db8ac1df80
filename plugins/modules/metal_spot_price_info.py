#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_spot_price_info
short_description: Read the prices of Equinix Metal, on the spot market and on demand
version_added: 0.1.0
description:
  - Reads what plans cost in which metros, on the spot market at this moment and on demand, with the capacity beside
    them, and on request how the price of the spot market was before.
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
      - The slugs of the plans to look at. All of them when the list is empty.
    type: list
    elements: str
    default: []
  metros:
    description:
      - The codes of the metros to look at. All of them when the list is empty.
    type: list
    elements: str
    default: []
  history_from:
    description:
      - From when on to tell the price of the spot market, as an RFC 3339 time. Without it, only the price of today is told.
      - The API is asked once for each pair of plan and metro, so name those that matter.
    type: str
  history_until:
    description:
      - Until when to tell the price of the spot market, as an RFC 3339 time. The default is now.
    type: str
seealso:
  - module: nixmetal.builders.metal_spot_market_request
"""

EXAMPLES = r"""
- name: Look where a plan is cheapest
  nixmetal.builders.metal_spot_price_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    plans: [c3.medium.x86]
    metros: [am, da]
  register: found

- name: Show the prices, the lowest first
  ansible.builtin.debug:
    msg: "{{ found.prices | selectattr('spot_price_usd_per_hour', 'number') | sort(attribute='spot_price_usd_per_hour') }}"
"""

RETURN = r"""
prices:
  description: An entry for each pair of plan and metro that has a price.
  returned: success
  type: list
  elements: dict
  contains:
    plan:
      description: The plan's slug.
      returned: always
      type: str
      sample: c3.medium.x86
    metro:
      description: The metro's code.
      returned: always
      type: str
      sample: am
    spot_price_usd_per_hour:
      description: The current price on the spot market, in USD per hour; null when it has none there.
      returned: always
      type: float
      sample: 0.38
    on_demand_price_usd_per_hour:
      description: The price on demand, in USD per hour; null when it is not sold there so.
      returned: always
      type: float
      sample: 1.5
    currency:
      description: The currency of both prices.
      returned: always
      type: str
      sample: USD
    capacity_level:
      description: The API's word for how many machines are left; null when it does not tell.
      returned: always
      type: str
      sample: normal
    available_servers:
      description: The number of machines left; null when the API does not tell.
      returned: always
      type: int
      sample: 37
    history:
      description: The price of the spot market over time, oldest first, each with C(at) and C(price_usd_per_hour).
      returned: when O(history_from) is given, and there is a spot market
      type: list
      elements: dict
      sample: [{at: "2026-11-22T04:00:00Z", price_usd_per_hour: 0.36}]
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: [am]
unknown_plans:
  description: The wanted plans that the provider does not know.
  returned: success
  type: list
  elements: str
  sample: []
unknown_metros:
  description: The wanted metros that the provider does not know.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import catalogue_info
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import SPOT_PRICE_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(SPOT_PRICE_INFO_OPTIONS)
    run(module, lambda options, _check_mode: catalogue_info.inform_of_prices(make_client(options), options))


if __name__ == "__main__":
    main()
