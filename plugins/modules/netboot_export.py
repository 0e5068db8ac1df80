#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_export
short_description: Copy a release to a plain directory
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Copies a release of a channel to a directory in which kernel and initrds have their own names, beside C(manifest.json)
    and a C(netboot.ipxe) that names them relatively, with the channel's kernel parameters. It can be put on any web server.
  - The form is that of an image directory, so M(nixmetal.builders.artifact_stream) can carry it to another web host.
  - Segments, which stage 1 fetches, are copied too, but the kernel command line still names the blobs of the channel's web root
    for them.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  channel:
    description:
      - Name of the channel.
    type: str
    required: true
  release_id:
    description:
      - The release. By default it is the active one.
    type: str
  dest:
    description:
      - The directory, which appears at once and whole. One that is there already has to hold this very release.
    type: path
    required: true
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.netboot_store
seealso:
  - module: nixmetal.builders.netboot_release
"""

EXAMPLES = r"""
- name: Take the release along on a stick
  nixmetal.builders.netboot_export:
    root: /srv/netboot
    channel: hydra-x86_64-linux
    dest: /media/stick/netboot
"""

RETURN = r"""
dest:
  description: The directory.
  returned: success
  type: str
  sample: /media/stick/netboot
release_id:
  description: The release that it holds.
  returned: success
  type: str
  sample: 6475033905d25cba41b97561e2974598
image_id:
  description: Its image.
  returned: success
  type: str
  sample: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
bytes:
  description: Bytes of the image's files.
  returned: success
  type: int
  sample: 59302336
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.arguments import ROOT, store_root
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.channels import active_release
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.export import export
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.names import check_channel
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import load_release
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.store_errors import explained

ARGUMENTS = {
    **ROOT,
    "channel": {"type": "str", "required": True},
    "release_id": {"type": "str"},
    "dest": {"type": "path", "required": True},
}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Export what the arguments say."""
    root, channel = store_root(params), check_channel(params["channel"])
    release_id = params["release_id"] or active_release(root, channel)
    if release_id is None:
        raise NetbootError(f"channel: {channel} has no release in {root}.")
    release = load_release(root, channel, release_id)
    done = export(root, release, params["dest"], check_mode)
    return {**done._asdict(), "release_id": release_id, "image_id": release.manifest.image_id}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        told = run(module.params, module.check_mode)
    except NetbootError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explained(module.params["dest"], error))
    module.exit_json(**told)


if __name__ == "__main__":
    main()
