#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_prune
short_description: Remove releases and blobs that nobody needs
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Removes from the store below a web root the releases that nothing speaks for, and then the blobs that no release names.
  - "A release stays when it is active, when it is among the O(keep) newest of its channel, when a live machine runs its image
    (O(keep_image_ids)), when it was active or written within O(grace_hours), and when its manifest cannot be read."
  - A blob stays when a release that stays names it, when an image streamed within O(grace_hours) does, or when it came within
    that time. As long as one manifest cannot be read, every blob stays.
  - Releases go first, each by one C(rename(2)), then blobs, so that no release ever names a blob that is gone.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  keep:
    description:
      - How many releases of each channel stay at least, with the active one.
    type: int
    default: 5
  keep_image_ids:
    description:
      - The image ids that live machines run, each from RV(ignore:builder_image_id) of the inventory. C([]) says that there are none.
      - An entry that is empty or null stands for a machine of which nothing is known, and nothing is removed.
    type: list
    elements: raw
    required: true
  grace_hours:
    description:
      - How many hours a release stays after it was active, a blob after it came.
    type: float
    default: 24
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.netboot_store
  - nixmetal.builders.netboot_store.writer
seealso:
  - module: nixmetal.builders.netboot_release
  - module: nixmetal.builders.netboot_release_info
"""

EXAMPLES = r"""
- name: Keep three releases of each channel, and what machines run
  nixmetal.builders.netboot_prune:
    root: /srv/netboot
    keep: 3
    keep_image_ids: "{{ groups['builders'] | map('extract', hostvars, 'builder_image_id') }}"
"""

RETURN = r"""
removed:
  description: The releases that were removed, or would be.
  returned: success
  type: list
  elements: dict
  sample:
    - channel: lab-x86_64-linux
      release_id: b5afd2668cae4c9476413fd6be51c0b6
      image_id: yrndx9ybbfwwcyxc0yfwznik6lmldq47-lab-image
kept:
  description: The releases that stay, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - channel: lab-x86_64-linux
      release_id: 6475033905d25cba41b97561e2974598
      image_id: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
      reasons: [active, among the newest 1, booted by a live machine, within the grace time]
    - channel: lab-x86_64-linux
      release_id: 5eef7ca7927f886d6a8be4ff5a5af1b7
      image_id: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
      reasons: [booted by a live machine]
blobs_removed:
  description: How many blobs were removed, or would be.
  returned: success
  type: int
  sample: 2
bytes_freed:
  description: Their bytes.
  returned: success
  type: int
  sample: 15505920
staged_removed:
  description: Streamed images that were never published, or whose releases are gone, and that were forgotten.
  returned: success
  type: list
  elements: str
  sample: [yrndx9ybbfwwcyxc0yfwznik6lmldq47-lab-image]
blobs_kept_because:
  description: Why no blob was removed although some might be rubbish; null when there is no such reason.
  returned: success
  type: str
  sample: null
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.arguments import WRITER, writer_of
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.prune import Verdict, policy
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.pruning import Pruning, prune

ARGUMENTS = {
    **WRITER,
    "keep": {"type": "int", "default": 5},
    "keep_image_ids": {"type": "list", "elements": "raw", "required": True},
    "grace_hours": {"type": "float", "default": 24},
}


def result(done: Pruning) -> dict[str, Any]:
    """What the module returns."""
    return {
        "changed": done.changed,
        "removed": [_told(verdict) for verdict in done.removed],
        "kept": [{**_told(verdict), "reasons": list(verdict.reasons)} for verdict in done.kept],
        "blobs_removed": len(done.rubbish.blobs),
        "bytes_freed": sum(done.rubbish.blobs.values()),
        "staged_removed": done.rubbish.staged,
        "blobs_kept_because": done.rubbish.hindrance,
        "diff": {"before": _text(done, everything=True), "after": _text(done, everything=False)},
    }


def _told(verdict: Verdict) -> dict[str, Any]:
    return {"channel": verdict.channel, "release_id": verdict.release_id, "image_id": verdict.image_id}


def _text(done: Pruning, *, everything: bool) -> str:
    """The store in a few lines, before and after."""
    verdicts = done.verdicts if everything else done.kept
    releases = [{"channel": verdict.channel, **done.descriptions[verdict.release_id]} for verdict in verdicts]
    rubbish = {"blobs": len(done.rubbish.blobs), "bytes": sum(done.rubbish.blobs.values())}
    told = {"releases": releases, "unneeded": rubbish if everything else {"blobs": 0, "bytes": 0}}
    return json.dumps({**told, "staged": done.rubbish.staged if everything else []}, indent=2) + "\n"


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        rules = policy(params["keep"], params["keep_image_ids"], params["grace_hours"])
        done = prune(writer_of(params, module.check_mode), rules)
    except NetbootError as error:
        module.fail_json(msg=str(error))
    if done.rubbish.hindrance:
        module.warn(f"No blob was removed: {done.rubbish.hindrance}. Publish it again, or remove its directory.")
    module.exit_json(**result(done))


if __name__ == "__main__":
    main()
