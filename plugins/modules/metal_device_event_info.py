#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_device_event_info
short_description: List the events of a machine of Equinix Metal
version_added: 0.1.0
description:
  - Lists what the provider and the machine itself have said of a machine, newest first.
  - Whoever runs code on a machine can post events in its name, so their texts are to be judged and not to be believed.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.metal
  - nixmetal.builders.metal.query
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
  - nixmetal.builders.attributes.action_group_metal
options:
  device_id:
    description:
      - The id (UUID) of the machine.
    type: str
    required: true
  types:
    description:
      - List only events of these types, such as V(provisioning.104.01) (the machine asked for an address, as it does in every boot),
        V(user.1001) (its SSH host keys) and V(user.1002) (its abilities).
    type: list
    elements: str
    default: []
  limit:
    description:
      - The greatest number of events to list, from 1 to 10000.
    type: int
    default: 100
seealso:
  - module: nixmetal.builders.metal_device_info
"""

EXAMPLES = r"""
- name: Find out when a machine last asked for an address
  nixmetal.builders.metal_device_event_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    device_id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
    types: [provisioning.104.01]
    limit: 1
    query: "[0].created_at"
  register: booted
"""

RETURN = r"""
events:
  description: The events, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the event.
      returned: always
      type: str
      sample: 0b7a3c9e-2f1d-4e5a-8c6b-7d8e9f0a1b2c
    type:
      description: The type of the event. What the machine itself has posted begins with C(user.).
      returned: always
      type: str
      sample: provisioning.104.01
    body:
      description: The text of the event; null when it is no text.
      returned: always
      type: str
      sample: Device connected to DHCP system
    created_at:
      description: When it happened, as an RFC 3339 time of UTC.
      returned: always
      type: str
      sample: "2026-11-23T04:00:00Z"
    ip:
      description: The address that posted it; null when the API does not tell.
      returned: always
      type: str
      sample: null
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: "2026-11-23T04:00:00Z"
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_info
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_EVENT_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(DEVICE_EVENT_INFO_OPTIONS)
    run(module, lambda options, _check_mode: device_info.inform_of_events(make_client(options), options))


if __name__ == "__main__":
    main()
