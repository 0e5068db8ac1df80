#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_device
short_description: Buy or end single machines of Equinix Metal
version_added: 0.1.0
description:
  - Makes sure that a fleet has so many machines of a name, bought singly and not by a spot market request. They are on demand, on a
    hardware reservation (O(hardware_reservation_id)), or of the spot market (O(spot_price_max)).
  - Never buys twice. The machines are known by the tags C(nixmetal-fleet=FLEET) and C(nixmetal-bid=NAME), and each purchase by a
    tag C(nixmetal-order=ID) with an id of its own. When the answer to a purchase is lost, the module looks for that tag before it
    does anything else.
  - Of two controllers that buy for the same name at once, the oldest machines stay, up to O(count), and the newer are withdrawn by
    who bought them.
  - Machines without the fleet's tag are never changed or ended.
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
    details:
      - User data are not shown.
  idempotent:
    support: full
options:
  state:
    description:
      - Whether the machines shall be there.
    type: str
    choices: [present, absent]
    default: present
  fleet:
    description:
      - The name of the fleet that owns the machines. Lower-case letters, digits and inner hyphens.
    type: str
    required: true
  name:
    description:
      - The name of the machines, unique in the fleet. Lower-case letters, digits and inner hyphens.
      - Needed with O(state=present). With O(state=absent), all machines of the name that were bought singly are ended.
    type: str
  device_id:
    description:
      - With O(state=absent), the id of the one machine to end, however it was bought. It must be of the project and carry the
        fleet's tag.
      - A machine of a live spot market request is replaced by that request.
    type: str
  count:
    description:
      - The number of machines.
    type: int
    default: 1
  surplus:
    description:
      - What to do when more machines of the name are live than O(count).
      - V(keep) leaves them, with a warning. V(end) ends the newest, without regard to what they are doing. Drain them first.
    type: str
    choices: [keep, end]
    default: keep
  leaving:
    description:
      - The ids of machines that the provider is about to take back. They do not count, whether they are still there or not, and are
        left as they are.
    type: list
    elements: str
    default: []
  plan:
    description:
      - The plan's slug, such as V(c3.medium.x86). Needed with O(state=present).
    type: str
  metros:
    description:
      - The codes of the metros in order of preference, such as V(am). V(any) stands for all others.
      - Needed with O(state=present).
    type: list
    elements: str
  hardware_reservation_id:
    description:
      - The id (UUID) of the reserved server to use, or V(next-available).
    type: str
  spot_price_max:
    description:
      - The most that one machine may cost, in USD per hour and in whole cents. Makes it a machine of the spot market.
      - The API cannot change it later. To buy at another limit, use another name.
    type: float
  cost_ceiling_usd_per_hour:
    description:
      - Nothing is bought when O(count) machines would cost more than this many USD per hour.
      - Live machines of the spot market count with their own limit. Machines on demand count with the dearest price among O(metros),
        reserved ones with nothing.
    type: float
  ipxe_script_url:
    description:
      - The URL of the iPXE script that the machines boot.
      - Needed when O(operating_system=custom_ipxe) and O(userdata) is not given.
    type: str
  always_pxe:
    description:
      - Whether the machines boot from the network each time, and not just the first.
    type: bool
    default: true
  operating_system:
    description:
      - The slug or id of the operating system.
    type: str
    default: custom_ipxe
  tags:
    description:
      - Tags of the machines, beside those that mark them as the fleet's own. They are a minimum, so tags that were added later stay.
    type: list
    elements: str
  hostname:
    description:
      - The hostname of the machines, which they share.
    type: str
  description:
    description:
      - A description of the machines.
    type: str
  userdata:
    description:
      - User data of the machines.
    type: str
  customdata:
    description:
      - Custom data of the machines, which their metadata hold.
    type: dict
  features:
    description:
      - Features that the machines must have, such as V(tpm).
    type: list
    elements: str
  ip_addresses:
    description:
      - The addresses that the machines are made with, as the API takes them, each with C(address_family), C(public) and perhaps
        C(cidr).
    type: list
    elements: dict
  locked:
    description:
      - Whether the machines are protected against being ended.
    type: bool
  network_frozen:
    description:
      - Whether the machines' network cannot be changed to another type.
    type: bool
  no_ssh_keys:
    description:
      - Whether the provider keeps all SSH keys of the project and its members off the machines.
    type: bool
  project_ssh_keys:
    description:
      - The ids of the project's SSH keys to put on the machines.
    type: list
    elements: str
  user_ssh_keys:
    description:
      - The ids of users' SSH keys to put on the machines.
    type: list
    elements: str
  termination_time:
    description:
      - When the provider ends the machines, as an RFC 3339 time. A time without a zone is UTC. It cannot be changed afterwards.
    type: str
  billing_cycle:
    description:
      - How the machines are billed.
    type: str
    choices: [hourly, daily, monthly, yearly]
    default: hourly
  force_delete:
    description:
      - Whether to end locked machines too. They are unlocked first, and the API's C(force_delete) is set.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until all machines are active, or with O(state=absent) gone.
    type: bool
    default: false
  wait_timeout:
    description:
      - How many seconds to wait at most. A machine that the provider fails to provision is a failure at once.
    type: int
    default: 1800
notes:
  - Plan, metro, operating system, the way of purchase and the limit of a spot price of a machine cannot be changed; a live machine of
    other terms is refused.
seealso:
  - module: nixmetal.builders.metal_device_info
  - module: nixmetal.builders.metal_spot_market_request
"""

EXAMPLES = r"""
- name: Have two machines on demand that boot the published image
  nixmetal.builders.metal_device:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    name: steady
    plan: c3.small.x86
    metros: [am, da]
    count: 2
    hostname: builder
    tags: [hydra]
    ipxe_script_url: https://netboot.example.org/x86_64-linux/netboot.ipxe
    cost_ceiling_usd_per_hour: 2

- name: Have one machine on a hardware reservation
  nixmetal.builders.metal_device:
    fleet: hydra
    name: own
    plan: c3.medium.x86
    metros: [da]
    hardware_reservation_id: next-available
    ipxe_script_url: https://netboot.example.org/x86_64-linux/netboot.ipxe
    wait: true

- name: End them
  nixmetal.builders.metal_device:
    state: absent
    fleet: hydra
    name: steady
"""

RETURN = r"""
devices:
  description: The machines, oldest first, or in check mode those that would be there; a new one has the id null then.
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
    addresses:
      description: The addresses, each with C(address), C(family) (4 or 6), C(public) and C(management).
      returned: always
      type: list
      elements: dict
      sample: [{address: 198.51.100.7, family: 4, public: true, management: true}]
device_ids:
  description: The ids of the machines that are there.
  returned: success
  type: list
  elements: str
  sample: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
updated:
  description: The ids of the machines that were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
ended:
  description: The ids of the machines that were ended, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
surplus:
  description: The ids of the machines that are more than O(count) and were left.
  returned: success
  type: list
  elements: str
  sample: []
withdrawn:
  description: The ids of machines that this run bought and withdrew, because another controller had been first.
  returned: success
  type: list
  elements: str
  sample: []
max_cost_usd_per_hour:
  description:
    - What the machines of the name cost at most, in USD per hour, those of O(surplus) that stay included.
    - Null when it is not known, or when nothing was bought and no ceiling set.
  returned: when O(state=present)
  type: float
  sample: 1.5
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import device_tasks
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(DEVICE_OPTIONS, required_if=[("state", "present", ("name", "plan", "metros"))])
    run(module, lambda options, check_mode: device_tasks.apply(make_client(options), options, check_mode))


if __name__ == "__main__":
    main()
