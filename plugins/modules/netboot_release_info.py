#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_release_info
short_description: Tell the channels, releases and history of a web root
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Tells what the store below a web root holds, and who writes to it at the moment. Nothing is changed and no lock is taken.
  - With O(verify=true) every blob is read and hashed again, and every release and link is looked at.
options:
  channel:
    description:
      - The only channel to tell of. By default all are told.
    type: str
  verify:
    description:
      - Whether to read everything again. It takes as long as the host needs to hash all blobs.
      - What is wrong is listed as C(problems) in RV(verification); the module does not fail for it.
    type: bool
    default: false
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
  - nixmetal.builders.netboot_store
seealso:
  - module: nixmetal.builders.netboot_release
"""

EXAMPLES = r"""
- name: See what the channel boots and what it booted before
  nixmetal.builders.netboot_release_info:
    root: /srv/netboot
    channel: hydra-x86_64-linux

- name: Read everything again
  nixmetal.builders.netboot_release_info:
    root: /srv/netboot
    verify: true
  register: netboot
  failed_when: netboot.verification.problems != []
"""

RETURN = r"""
channels:
  description:
    - Each channel with its active release, the release before it, all its releases in the store (newest first, with their files)
      and its history (oldest first).
    - C(problem) says what is wrong with a channel's link, and is null for all others.
  returned: success
  type: list
  elements: dict
  sample:
    - channel: lab-x86_64-linux
      problem: null
      release_id: 6475033905d25cba41b97561e2974598
      image_id: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
      url: http://10.213.77.11/lab-x86_64-linux/netboot.ipxe
      activated_at: "2026-11-26T13:38:33Z"
      activated_by: newcomer@fresh
      previous_release_id: 5eef7ca7927f886d6a8be4ff5a5af1b7
      releases:
        - release_id: 6475033905d25cba41b97561e2974598
          image_id: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
          system: x86_64-linux
          bytes: 59302336
          files:
            - name: kernel
              role: kernel
              sha256: 51349501a3d1ff83836437d2b365fd2d57f2feb8642d315e5181dec23d4c3275
              size: 14186432
          kernel_params: [panic=10, random.trust_cpu=on, console=ttyS0, quiet, "nixmetal.metadata=http://10.213.77.2:8080/metadata"]
          command_line: >-
            initrd=initrd-00-stage-1 nixmetal.image=v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
            nixmetal.blobs=http://10.213.77.11/blobs/sha256 panic=10 random.trust_cpu=on console=ttyS0 quiet nixmetal.metadata=http://10.213.77.2:8080/metadata
          url: http://10.213.77.11/lab-x86_64-linux/netboot.ipxe
          url_style: relative
          signed: false
          damaged: false
      history:
        - action: publish
          at: "2026-11-26T13:33:03Z"
          by: newcomer@fresh
          image_id: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
          previous_release_id: null
          release_id: 5eef7ca7927f886d6a8be4ff5a5af1b7
staged:
  description: Image ids that were streamed to this host and can be published.
  returned: success
  type: list
  elements: str
  sample: [v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image]
blobs:
  description: How many blobs there are, and their bytes.
  returned: success
  type: dict
  sample: {count: 6, bytes: 59302336}
free_bytes:
  description: What can still be written to the file system of the web root.
  returned: success
  type: int
  sample: 41995821056
lock:
  description: Who holds the lock on the store, and since when; null when nobody does.
  returned: success
  type: dict
  sample: null
verification:
  description: What was read again and what is wrong with it.
  returned: when O(verify=true)
  type: dict
  sample: {blobs: 6, bytes: 59302336, releases: 2, problems: []}
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.arguments import ROOT, store_root
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.inspect import (
    channel_names,
    count_blobs,
    free_bytes,
    inspect_channel,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.lock import read_owner
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.names import check_channel
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.store_errors import explained
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.sweep import staged_images
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify

ARGUMENTS = {**ROOT, "channel": {"type": "str"}, "verify": {"type": "bool", "default": False}}


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Look at the store."""
    root = store_root(params)
    if not os.path.isdir(root):
        raise NetbootError(f"root: the directory {root} does not exist; role netboot_server makes it.")
    names = channel_names(root) if params["channel"] is None else [check_channel(params["channel"])]
    told = {
        "channels": [inspect_channel(root, name) for name in names],
        "staged": staged_images(root),
        "blobs": count_blobs(root),
        "free_bytes": free_bytes(root),
        "lock": read_owner(root),
    }
    return {**told, "verification": verify(root)._asdict()} if params["verify"] else told


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        told = run(module.params)
    except NetbootError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explained(module.params["root"], error))
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
