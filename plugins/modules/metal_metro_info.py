#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metal_metro_info
short_description: List the metros of Equinix Metal
version_added: 0.1.0
description:
  - Lists the metros, by their code.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.metal
  - nixmetal.builders.metal.query
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
  - nixmetal.builders.attributes.action_group_metal
options:
  metros:
    description:
      - The codes of the metros to list. All when empty.
    type: list
    elements: str
    default: []
seealso:
  - module: nixmetal.builders.metal_capacity_info
"""

EXAMPLES = r"""
- name: List the metros of the Netherlands
  nixmetal.builders.metal_metro_info:
    metal_api_url: https://metal.example.org/metal/v1
    metal_auth_token: "{{ lookup('ansible.builtin.env', 'METAL_AUTH_TOKEN') }}"
    project_id: 7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b
    query: "[?country == 'NL'].code"
  register: dutch
"""

RETURN = r"""
metros:
  description: The metros, by their code.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the metro.
      returned: always
      type: str
      sample: 108b2cfb-246b-45e3-885a-bf3e82fce1a0
    code:
      description: The code, in lower case, which other modules take.
      returned: always
      type: str
      sample: am
    name:
      description: The name.
      returned: always
      type: str
      sample: Amsterdam
    country:
      description: The code of the country.
      returned: always
      type: str
      sample: NL
unknown_metros:
  description: The wanted metros that do not exist.
  returned: success
  type: list
  elements: str
  sample: []
query_result:
  description: What O(query) yields.
  returned: when O(query) is given
  type: raw
  sample: [am]
"""

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import catalogue_info
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import METRO_INFO_OPTIONS
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.module_support import (
    make_client,
    make_module,
    run,
)


def main() -> None:
    module = make_module(METRO_INFO_OPTIONS)
    run(module, lambda options, _check_mode: catalogue_info.inform_of_metros(make_client(options), options))


if __name__ == "__main__":
    main()
