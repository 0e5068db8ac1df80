#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_spot_market_request
short_description: Make or end a request on the spot market of Equinix Metal
version_added: 0.1.0
description:
  - Makes sure that a fleet's bid has exactly one live spot market request with the declared terms, or none.
  - Never buys twice. When the answer to a purchase is lost, the module looks whether the request was made before it does
    anything else. Of two controllers that make the same request at once, the older request stays, and the newer is withdrawn
    by who made it.
  - A request is recognised without any record. Its machines carry the tags C(nixmetal-fleet=FLEET) and
    C(nixmetal-bid=NAME). While it has no machine, the API gives back only plan, metro, price, counts and end, so the end
    is chosen to be the mark. It is 2030-01-01T00:00:00Z plus a number of 27 bits, in seconds. Its upper 15 bits are the
    SHA-256 of C(FLEET) modulo 2 to the power of 15, its lower 12 bits the SHA-256 of C(FLEET/NAME) modulo 2 to the power
    of 12. This is why there is no option for the end.
  - The upper bits prove a request to be the fleet's own even after its bid was renamed or is no longer declared. A short
    mark can be met by accident. Where machines carry other tags than the mark says, nothing is done, and a live request of
    other terms is refused as O(change) says. A request of someone else that has no machine and an end in the fleet's 4096
    seconds cannot be told from the fleet's own; its chance to have one is 1 in 32768.
  - A request that is not proved to be the fleet's own is never changed or ended.
  - Tags, hostname, boot script and the like of a live request cannot be read back, so a change of these alone is not noticed.
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
      - Whether the bid shall have a live request.
    type: str
    choices: [present, absent]
    default: present
  fleet:
    description:
      - The name of the fleet that owns the request. Lower-case letters, digits and inner hyphens.
    type: str
    required: true
  name:
    description:
      - The name of the bid, unique in the fleet. Lower-case letters, digits and inner hyphens.
      - Needed with O(state=present), and with O(state=absent) unless O(request_id) is given.
    type: str
  request_id:
    description:
      - With O(state=absent), the id of the request to end, which must be proved to be the fleet's own.
      - A request without machines is proved to be so by its end, whether the bid is still declared or not.
    type: str
  change:
    description:
      - What to do when the bid's live request has another plan, metro, price or count than declared.
        The API cannot change a request.
      - V(refuse) fails and tells the differences.
      - V(create_first) makes the new request and then ends the old one. For a moment both are live and may cost money. With O(wait),
        the old one is ended when the new one's machines are there, and not when they fail to come.
      - V(end_first) ends the old request and then makes the new one.
    type: str
    choices: [refuse, create_first, end_first]
    default: refuse
  terminate_devices:
    description:
      - Whether ending a request ends its machines as well, without regard to what they are doing. Drain them first.
      - Without it, O(state=absent) leaves the machines, which go on to cost money, and O(change) does not end a request
        that has machines.
    type: bool
    default: false
  cost_ceiling_usd_per_hour:
    description:
      - The request is refused when O(devices_max) times O(max_bid_price) is more than this many USD per hour.
    type: float
  plan:
    description:
      - The plan's slug, such as V(c3.medium.x86). Needed with O(state=present).
    type: str
  metro:
    description:
      - The metro's code, such as V(am). Needed with O(state=present).
    type: str
  max_bid_price:
    description:
      - The most that one machine may cost, in USD per hour and in whole cents. Needed with O(state=present).
    type: float
  devices_min:
    description:
      - The least number of machines. The provider makes none as long as it cannot make these.
      - The default is O(devices_max).
    type: int
  devices_max:
    description:
      - The greatest number of machines. Lost ones are replaced as long as the request lives. Needed with O(state=present).
    type: int
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
      - Tags of the machines, beside the two that mark them as the fleet's own.
    type: list
    elements: str
  hostname:
    description:
      - The hostname of the machines, which they share. May hold C({{index}}), which the provider replaces.
    type: str
  hostnames:
    description:
      - A hostname for each machine, at least O(devices_max) of them.
    type: list
    elements: str
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
  locked:
    description:
      - Whether the machines are protected against being deleted.
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
  private_ipv4_subnet_size:
    description:
      - The size of each machine's private IPv4 subnet, as the length of its prefix.
    type: int
  public_ipv4_subnet_size:
    description:
      - The size of each machine's public IPv4 subnet, as the length of its prefix.
    type: int
  termination_time:
    description:
      - When the provider ends the machines, as an RFC 3339 time. A time without a zone is UTC.
    type: str
  billing_cycle:
    description:
      - How the machines are billed.
    type: str
    choices: [hourly, daily, monthly, yearly]
    default: hourly
  wait:
    description:
      - Whether to wait until O(devices_max) machines are active.
    type: bool
    default: false
  wait_timeout:
    description:
      - How many seconds to wait at most. After that, O(devices_min) active machines are enough, with a warning, and fewer
        are a failure.
      - A machine that the provider fails to provision is a failure at once.
    type: int
    default: 1800
seealso:
  - module: nixmetal.builders.metal_spot_market_request_info
  - module: nixmetal.builders.metal_spot_price_info
"""

EXAMPLES = r"""
- name: Ask for two machines that boot the published image
  nixmetal.builders.metal_spot_market_request:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    fleet: hydra
    name: small
    plan: c3.small.x86
    metro: am
    max_bid_price: 0.35
    devices_max: 2
    hostname: builder
    tags: [hydra]
    ipxe_script_url: https://netboot.example.org/x86_64-linux/netboot.ipxe
    cost_ceiling_usd_per_hour: 2

- name: Replace the request when the bid has changed, and its machines with it
  nixmetal.builders.metal_spot_market_request:
    fleet: hydra
    name: small
    plan: c3.small.x86
    metro: da
    max_bid_price: 0.40
    devices_max: 2
    ipxe_script_url: https://netboot.example.org/x86_64-linux/netboot.ipxe
    change: create_first
    terminate_devices: true
    wait: true

- name: End the bid's request and its machines
  nixmetal.builders.metal_spot_market_request:
    state: absent
    fleet: hydra
    name: small
    terminate_devices: true
"""

RETURN = r"""
request:
  description: The live request, or in check mode the one that would be made; null when there is none.
  returned: success
  type: dict
  contains:
    id:
      description: The id of the request; null for one that would be made.
      returned: always
      type: str
      sample: b6a1d1e2-8a0f-4f5e-8b7a-0b1c2d3e4f50
    name:
      description: The name of the bid; null when it cannot be told.
      returned: always
      type: str
      sample: small
    ours:
      description: Whether the request is proved to be the fleet's own.
      returned: always
      type: bool
      sample: true
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
device_ids:
  description:
    - The ids of the request's machines. With O(state=absent), those that the ended requests had.
  returned: success
  type: list
  elements: str
  sample: [5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01]
devices:
  description: The request's machines, as far as they exist.
  returned: when O(wait=true) outside check mode
  type: list
  elements: dict
  sample:
    - id: 5a1f0a5e-1c5b-4d0e-9a52-4a5c6f9d1e01
      hostname: builder
      state: active
fulfilled:
  description: Whether all O(devices_max) machines are active.
  returned: when O(wait=true) outside check mode
  type: bool
  sample: true
ended:
  description: The ids of the requests that were ended, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: []
withdrawn:
  description: The ids of requests that this run made and withdrew, because another controller had been first.
  returned: success
  type: list
  elements: str
  sample: []
max_cost_usd_per_hour:
  description: What all machines of the request cost at most, in USD per hour.
  returned: when O(state=present)
  type: float
  sample: 0.7
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import spot_tasks
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import SPOT_REQUEST_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(
        SPOT_REQUEST_OPTIONS,
        required_if=[("state", "present", ("name", "plan", "metro", "max_bid_price", "devices_max"))],
    )
    run(module, lambda options, check_mode: spot_tasks.apply(make_client(options), options, check_mode))


if __name__ == "__main__":
    main()
