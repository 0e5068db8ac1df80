#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_device_info
short_description: List the machines of an Equinix Metal project
version_added: 0.1.0
description:
  - Lists the machines of a project, oldest first, whoever owns them. Passwords are not returned.
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
      - List only the machines of this fleet, which carry the tag C(nixmetal-fleet=FLEET).
    type: str
  device_ids:
    description:
      - List only the machines with these ids.
    type: list
    elements: str
    default: []
  tags:
    description:
      - List only the machines that carry all of these tags.
    type: list
    elements: str
    default: []
  hostname:
    description:
      - List only the machines with this hostname.
    type: str
seealso:
  - module: nixmetal.builders.metal_device
  - plugin: nixmetal.builders.metal_builders
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Find the fleet's machines that are active
  nixmetal.builders.metal_device_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    query: "[?state == 'active'].id"
  register: found

- name: Show their ids
  ansible.builtin.debug:
    var: found.query_result
"""

RETURN = r"""
devices:
  description: The machines, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the machine.
      returned: always
      type: str
      sample: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
    hostname:
      description: The hostname, which several machines may share; null when there is none.
      returned: always
      type: str
      sample: builder
    state:
      description: The provider's word for the state; V(unknown) when it makes no sense.
      returned: always
      type: str
      sample: active
    tags:
      description: All tags.
      returned: always
      type: list
      elements: str
      sample: [hydra, nixmetal-fleet=hydra, nixmetal-bid=small]
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
    spot:
      description: Whether it was bought on the spot market.
      returned: always
      type: bool
      sample: false
    spot_price_max:
      description: The most that it may cost on the spot market, in USD per hour; null when it is not of the spot market.
      returned: always
      type: float
      sample: null
    ipxe_script_url:
      description: The URL of the iPXE script that it boots; null when there is none.
      returned: always
      type: str
      sample: https://netboot.example.org/x86_64-linux/netboot.ipxe
    short_id:
      description: The first group of the id.
      returned: always
      type: str
      sample: 5a1f0a5e
    fleet:
      description: The fleet that its tags name; null when there is none.
      returned: always
      type: str
      sample: hydra
    bid:
      description: The bid that its tags name; null when there is none.
      returned: always
      type: str
      sample: small
    facility:
      description: The code of the facility.
      returned: always
      type: str
      sample: am6
    operating_system:
      description: The slug of the operating system.
      returned: always
      type: str
      sample: custom_ipxe
    description:
      description: The description; null when there is none.
      returned: always
      type: str
      sample: null
    always_pxe:
      description: Whether it boots from the network each time.
      returned: always
      type: bool
      sample: true
    locked:
      description: Whether it is protected against being ended.
      returned: always
      type: bool
      sample: false
    created_at:
      description: When it was bought, as an RFC 3339 time of UTC.
      returned: always
      type: str
      sample: "2026-11-23T04:00:00Z"
    termination_time:
      description: When the provider will end it, as an RFC 3339 time of UTC; null when nothing is known of an end.
      returned: always
      type: str
      sample: null
    reservation_id:
      description: The id of the hardware reservation that it stands on; null when there is none.
      returned: always
      type: str
      sample: null
    project_id:
      description: The id of the project that it belongs to; null when the API does not tell.
      returned: always
      type: str
      sample: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    sos:
      description: The host of the serial console, as the API names it; null when it does not.
      returned: always
      type: str
      sample: sos.am6.platformequinix.com
    console:
      description: Where SSH finds the serial console, as user and host; null when it is not known.
      returned: always
      type: str
      sample: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01@sos.am6.platformequinix.com
    addresses:
      description: The addresses, each with C(address), C(family) (4 or 6), C(public) and C(management).
      returned: always
      type: list
      elements: dict
      sample: [{address: 198.51.100.7, family: 4, public: true, management: true}]
unknown_device_ids:
  description: Those of O(device_ids) that were not found among the listed machines.
  returned: success
  type: list
  elements: str
  sample: []
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_info
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(DEVICE_INFO_OPTIONS)
    run(module, lambda options, _check_mode: device_info.inform(make_client(options), options))


if __name__ == "__main__":
    main()
