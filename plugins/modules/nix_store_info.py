#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nix_store_info
short_description: Tell what is in a Nix store
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Tells of store paths their size, hash, references and closure, what keeps paths from the garbage collector, and how much room
    there is.
  - Works with Nix 2.8 (Debian 12) and later, by C(nix-store).
requirements:
  - Nix on the host (role P(nixmetal.builders.nix_host#role)).
options:
  paths:
    description:
      - Store paths, or links that lead to such.
    type: list
    elements: str
    default: []
  closure:
    description:
      - List each path of the closures too, with its size.
    type: bool
    default: false
  roots:
    description:
      - List the garbage collector's roots. Nix shows those of other users' processes to root alone.
    type: bool
    default: false
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
seealso:
  - module: nixmetal.builders.nix_build
"""

EXAMPLES = r"""
- name: See how large the image is that is published next
  nixmetal.builders.nix_store_info:
    paths: [/nix/var/nix/gcroots/nixmetal/hydra-x86_64-linux]
  register: image

- name: Stop before the disk is full
  ansible.builtin.assert:
    that: image.free_bytes > 3 * image.paths[0].closure_size
"""

RETURN = r"""
store_directory:
  description: Where the store is.
  returned: success
  type: str
  sample: /nix/store
nix_version:
  description: Version of Nix.
  returned: success
  type: str
  sample: 2.26.3
free_bytes:
  description: Bytes that are free on the store's file system.
  returned: success
  type: int
  sample: 84825604096
total_bytes:
  description: Bytes that the store's file system has.
  returned: success
  type: int
  sample: 270582939648
free_inodes:
  description: How many more files there can be on the store's file system.
  returned: success
  type: int
  sample: 15204352
paths:
  description: What is known of each of O(paths), in their order. Of a path that is not in the store, C(valid) says so and no more is told.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: As given in O(paths).
      type: str
    path:
      description: The store path.
      type: str
    valid:
      description: Whether the store has it.
      type: bool
    size:
      description: Bytes as an archive (NAR).
      type: int
    hash:
      description: Hash of the archive.
      type: str
    deriver:
      description: The derivation that it was built from, where that is known.
      type: str
    references:
      description: The store paths that it names.
      type: list
      elements: str
    closure_size:
      description: Bytes of it and all that it needs.
      type: int
    closure_count:
      description: How many store paths these are.
      type: int
    closure:
      description: Each of them with its size, when O(closure) is set.
      type: list
      elements: dict
  sample:
    - name: /nix/var/nix/gcroots/nixmetal/top
      path: /nix/store/ss3lgw5jqg64m59axyfpg84pky88r0gc-top
      valid: true
      size: 392
      hash: sha256:12fwam0pryxc2rv7zjms66hh41jy31rnqrvvyvdkqlz3y0b8r8gq
      deriver: /nix/store/76nxhm1pwmz9w6cw9n6qdd5pci1x24gh-top.drv
      references: [/nix/store/7gic7cbwix7p4zgb501fcv76n239hr59-below]
      closure_size: 5504
      closure_count: 2
      closure:
        - path: /nix/store/7gic7cbwix7p4zgb501fcv76n239hr59-below
          size: 5112
        - path: /nix/store/ss3lgw5jqg64m59axyfpg84pky88r0gc-top
          size: 392
roots:
  description: The garbage collector's roots, when O(roots) is set.
  returned: success
  type: list
  elements: dict
  sample:
    - root: /nix/var/nix/gcroots/nixmetal/top
      path: /nix/store/ss3lgw5jqg64m59axyfpg84pky88r0gc-top
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.store_info import gather

ARGUMENTS = {
    "paths": {"type": "list", "elements": "str", "default": []},
    "closure": {"type": "bool", "default": False},
    "roots": {"type": "bool", "default": False},
}


def main() -> None:
    """Answer one task."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wanted = module.params
    try:
        facts = gather(Nix({}), wanted["paths"], wanted["closure"], wanted["roots"])
    except NixError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**facts)


if __name__ == "__main__":
    main()
