#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_device_power
short_description: Switch machines of Equinix Metal on or off, or start them anew
version_added: 0.1.0
description:
  - Switches machines of a fleet on or off, reboots them, boots them into the provider's rescue system, or has them installed anew.
  - A machine that reboots is called active throughout. That it has begun to boot is seen by its next request for an address, the event
    C(provisioning.104.01). This module waits for that event, and for the state; it does not prove what was booted.
  - An action is sent once. When its answer is lost, the module looks whether it took effect before it does anything else.
  - A machine without the fleet's tag is left alone.
  - Of several machines each is asked before the first one is waited for. One that cannot be asked, or does not come, does not keep the
    others; the module fails at the end, with the reason of each and with what is known of the others.
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
    support: partial
    details:
      - V(on) and V(off) are states, and asked for once. V(rebooted), V(rescued) and V(reinstalled) happen each time.
options:
  state:
    description:
      - What shall have happened to the machines.
    type: str
    choices: ["on", "off", rebooted, rescued, reinstalled]
    required: true
  fleet:
    description:
      - The name of the fleet that owns the machines, which must carry the tag C(nixmetal-fleet=FLEET).
    type: str
    required: true
  device_ids:
    description:
      - The ids (UUID) of the machines, or the one id.
    type: list
    elements: str
    required: true
    aliases: [device_id]
  operating_system:
    description:
      - With O(state=reinstalled), the slug or id of the operating system to install. The default is the present one.
    type: str
  ipxe_script_url:
    description:
      - With O(state=reinstalled), the URL of the iPXE script to boot.
    type: str
  preserve_data:
    description:
      - With O(state=reinstalled), whether the data of all disks but that of the operating system are kept.
    type: bool
  deprovision_fast:
    description:
      - With O(state=reinstalled), whether wiping the disks is left out.
    type: bool
  wait:
    description:
      - Whether to wait until each machine is in its state, and has begun to boot where it was to.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait at most, for all machines together. After that the module fails, and tells what it saw last.
    type: int
    default: 1800
seealso:
  - module: nixmetal.builders.metal_device
  - module: nixmetal.builders.metal_device_event_info
"""

EXAMPLES = r"""
- name: Reboot a machine, and wait until it has begun to boot
  nixmetal.builders.metal_device_power:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    device_ids: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
    state: rebooted
    wait_timeout: 900

- name: Switch two of them off
  nixmetal.builders.metal_device_power:
    fleet: hydra
    device_ids:
      - 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
      - 0c7c4c0e-6a55-4c55-9d0c-2f6d6f1b7a02
    state: "off"
"""

RETURN = r"""
machines:
  description:
    - What is known of each machine that was asked or needed nothing, by its id.
    - C(asked) is whether it was asked, or in check mode would be; C(device_state) the provider's word for its state, as seen last, or in
      check mode what it would be; C(booted_at) when it last asked for an address, as an RFC 3339 time of UTC, and null when it never did.
    - Also returned when the module fails because of some of them.
  returned: success
  type: dict
  sample:
    793de03e-d0f8-4d91-9eda-08e8288ec304:
      asked: true
      booted_at: "2026-11-26T15:17:29Z"
      device_state: active
failures:
  description:
    - Why a machine could not be asked, or did not come, by its id. Empty unless the module fails because of it.
  returned: success
  type: dict
  sample:
    00000000-0000-4000-8000-00000000dead: There is no machine 00000000-0000-4000-8000-00000000dead, or no longer.
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_power
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_POWER_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(DEVICE_POWER_OPTIONS)
    run(module, lambda options, check_mode: device_power.apply(make_client(options), options, check_mode))


if __name__ == "__main__":
    main()
