#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_spot_market_request_info
short_description: List the live spot market requests of an Equinix Metal project
version_added: 0.1.0
description:
  - Lists the live spot market requests of a project, oldest first, and says which of them are proved to be a fleet's own.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.metal
  - nixmetal.builders.metal.query
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
  - nixmetal.builders.attributes.action_group_metal
options:
  fleet:
    description:
      - The name of the fleet whose requests are told apart from others. Without it, no request is called the fleet's own.
    type: str
  names:
    description:
      - The names of the fleet's bids. They give a request that has no machine yet its RV(requests[].name).
      - Two bids whose requests would have the same end are refused, because those could not be told apart.
    type: list
    elements: str
    default: []
seealso:
  - module: nixmetal.builders.metal_spot_market_request
"""

EXAMPLES = r"""
- name: List the requests of the project
  nixmetal.builders.metal_spot_market_request_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    names: [small, large]
  register: found

- name: Show what is not ours
  ansible.builtin.debug:
    msg: "{{ found.requests | rejectattr('ours') | map(attribute='id') }}"
"""

RETURN = r"""
requests:
  description: The live requests, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the request.
      returned: always
      type: str
      sample: b6a1d1e2-8a0f-4f5e-8b7a-0b1c2d3e4f50
    name:
      description:
        - The name of the bid; null when it cannot be told.
        - A request can be the fleet's own without it, as when its bid was renamed.
      returned: always
      type: str
      sample: small
    ours:
      description: Whether the request is proved to be the fleet's own.
      returned: always
      type: bool
      sample: true
    contradicts:
      description:
        - Whether the end marks the request as the fleet's own, and the tags of its machines say otherwise.
        - As long as there is such a request, nothing is bought or ended.
      returned: always
      type: bool
      sample: false
    plan:
      description: The plan's slug; null when the API does not tell.
      returned: always
      type: str
      sample: c3.small.x86
    metro:
      description: The metro's code; null when the API does not tell.
      returned: always
      type: str
      sample: am
    max_bid_price:
      description: The bid, in USD per hour and machine.
      returned: always
      type: float
      sample: 0.35
    devices_min:
      description: The least number of machines.
      returned: always
      type: int
      sample: 2
    devices_max:
      description: The greatest number of machines.
      returned: always
      type: int
      sample: 2
    end_at:
      description: When the request ends, which is also how it is recognised.
      returned: always
      type: str
      sample: "2031-03-29T12:48:32Z"
    created_at:
      description: When the request was made; null when the API does not tell.
      returned: always
      type: str
      sample: "2026-11-23T04:00:00Z"
    device_ids:
      description: The ids of the machines that the request has made.
      returned: always
      type: list
      elements: str
      sample: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: [b6a1d1e2-8a0f-4f5e-8b7a-0b1c2d3e4f50]
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import spot_tasks
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import SPOT_REQUEST_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(SPOT_REQUEST_INFO_OPTIONS)
    run(module, lambda options, _check_mode: spot_tasks.inform(make_client(options), options))


if __name__ == "__main__":
    main()
