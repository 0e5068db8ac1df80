#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_release
short_description: Make a netboot image the release of a channel
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Makes an image whose files are in the blob store of a web root the release that machines boot at
    C(BASE_URL/CHANNEL/netboot.ipxe).
  - "What is made active is told by one of these: O(image_id) or O(manifest) publish an image; O(from_channel) promotes another
    channel's release, with the kernel parameters of this channel; O(release_id) alone activates an older release of
    this channel, and V(previous) goes one step back."
  - Verifies first that every blob is there with its right size and SHA-256. A blob that was verified before and not
    touched since is not read again. No blob is ever copied.
  - Writes C(ROOT/releases/CHANNEL/RELEASE_ID/) with C(manifest.json) and C(netboot.ipxe), flushes it to the disk and
    then turns the link C(ROOT/CHANNEL) with one C(rename(2)). Whoever fetches from the channel meanwhile gets the old
    release or the new one, and after a crash or a power cut one of them is active, whole.
  - The release id is the first 32 hexadecimal digits of the SHA-256 over manifest and script (with zeros where the
    script names the id itself), so the same image with the same settings is the same release, and publishing it again
    changes nothing.
  - Each turn of a link is a line in C(ROOT/.state/history/CHANNEL.jsonl).
  - Writers take turns by a lock on the store, also from several machines that share it.
attributes:
  check_mode:
    support: full
    details:
      - Blobs that are not there are listed in RV(missing_blobs) with a warning, because the stream that brings them
        did not run either. A blob that is there is verified.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(release_id=previous) goes one more step back each time, unless O(replaces) names the release to get away from.
options:
  channel:
    description:
      - Name of the channel, a directory below the web root.
      - Up to 100 letters, digits, C(.), C(_) and C(-), beginning with a letter or a digit; not C(blobs), C(releases) or C(status).
    type: str
    required: true
  image_id:
    description:
      - Image to publish, whose manifest M(nixmetal.builders.artifact_stream) has put into C(ROOT/.state/staging/IMAGE_ID/).
    type: str
  manifest:
    description:
      - Manifest of the image to publish, in place of a staged one.
    type: dict
  from_channel:
    description:
      - Channel of the same store whose image to publish in O(channel).
    type: str
  release_id:
    description:
      - Alone, a release of O(channel) that is in the store, to be made active as it is; or V(previous), the release that was
        active before the present one. After a rollback V(previous) is the one before that, not the one that was left.
      - With O(from_channel), the release of that channel to promote. By default it is the active one.
    type: str
  replaces:
    description:
      - Change nothing unless this release is active in O(channel).
      - So a rollback can be run twice, and a decision that was taken while looking at one release does not hit another.
    type: str
  base_url:
    description:
      - Address at which machines find the web root, C(http://) or C(https://), without user, query or fragment.
      - Required unless an older release is activated, which has its own.
    type: str
  kernel_params:
    description:
      - Kernel parameters that this channel adds to those of the image, each a list entry. The last one of a name wins.
      - A value with spaces stands in double quotes, C(name="a b"). C(initrd), C(nixmetal.image) and C(nixmetal.blobs) are
        set by the release itself. C(${) is refused, because iPXE would replace it.
      - The whole command line may take 2048 bytes (1024 on C(riscv64-linux)).
    type: list
    elements: str
    default: []
  url_style:
    description:
      - V(relative) makes a script that works wherever the web root is reached; V(absolute) writes O(base_url) into it, which
        a script needs that is handed to iPXE other than from its channel's URL.
    type: str
    choices:
      - relative
      - absolute
    default: relative
  signed:
    description:
      - Whether the script has iPXE verify kernel and initrds by C(imgverify). Only an iPXE that was built with C(IMAGE_TRUST_CMD)
        can, and any other does not boot the release.
      - The signatures of O(signatures) are needed then. They lie in the release as C(NAME.sig), beside that of the script.
    type: bool
    default: false
  signatures:
    description:
      - What M(nixmetal.builders.netboot_signature) returned, each file's name with its signature.
    type: dict
  signed_digests:
    description:
      - What was signed, as RV(to_sign) had it. When the release has become another one meanwhile, it is not published.
    type: dict
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.netboot_store
  - nixmetal.builders.netboot_store.writer
seealso:
  - module: nixmetal.builders.artifact_stream
  - module: nixmetal.builders.netboot_release_info
  - module: nixmetal.builders.netboot_prune
"""

EXAMPLES = r"""
- name: Publish the image that was streamed to this host
  nixmetal.builders.netboot_release:
    root: /srv/netboot
    channel: hydra-x86_64-linux--canary
    image_id: 3vlh8xfcb0ml5ixd3aqa35vdb2xv8ch0-netboot
    base_url: https://netboot.example.org
    kernel_params:
      - console=ttyS1,115200n8

- name: Promote what the canary runs
  nixmetal.builders.netboot_release:
    root: /srv/netboot
    channel: hydra-x86_64-linux
    from_channel: hydra-x86_64-linux--canary
    base_url: https://netboot.example.org

- name: Take a release back, once
  nixmetal.builders.netboot_release:
    root: /srv/netboot
    channel: hydra-x86_64-linux
    release_id: previous
    replaces: 5f0c1b0a3d9e47c2b1c8a6f0d2e4b7a9
"""

RETURN = r"""
to_sign:
  description: Name and SHA-256 of each file that needs a signature; empty unless O(signed=true) and a release is made.
  returned: success
  type: dict
  sample: {}
release_id:
  description: The release that is active in the channel now.
  returned: success
  type: str
  sample: 6504879f40263d41f9a49bbcabfa2bab
image_id:
  description: The image that it boots.
  returned: success
  type: str
  sample: f2g3y1z2c49759dl1sfy2c3lr73cfyk2-lab-image
url:
  description: What a machine boots.
  returned: success
  type: str
  sample: http://10.213.81.11/lab-x86_64-linux/netboot.ipxe
previous_release_id:
  description: The release that was active before; null when the channel is new.
  returned: success
  type: str
  sample: null
kernel_params:
  description: The parameters of the image and of the channel, in their order.
  returned: success
  type: list
  elements: str
  sample: [panic=10, random.trust_cpu=on, console=ttyS0]
command_line:
  description: The whole kernel command line of the release.
  returned: success
  type: str
  sample: initrd=initrd-00-stage-1 nixmetal.image=f2g3y1z2c49759dl1sfy2c3lr73cfyk2-lab-image panic=10 random.trust_cpu=on console=ttyS0
bytes:
  description: Bytes of all files of the image.
  returned: success
  type: int
  sample: 59302336
bytes_added:
  description: Bytes of those blobs that the release before did not use.
  returned: success
  type: int
  sample: 59302336
bytes_freed:
  description: Bytes of the release before that this one does without. M(nixmetal.builders.netboot_prune) frees them when no
    release needs them any more.
  returned: success
  type: int
  sample: 0
action:
  description: What was done, or would be. V(keep) when O(replaces) is not the active release.
  returned: success
  type: str
  sample: publish
missing_blobs:
  description: Names of the files whose blobs are not in the store. Never anything in a real run, which fails instead.
  returned: success
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.arguments import WRITER, store_root, writer_of
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.difference import as_diff, bytes_added
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.names import check_base_url, check_channel
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import (
    Choice,
    image_of,
    older,
    promotion,
    staged_manifest,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Publication, switch
from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import counted

ARGUMENTS = {
    **WRITER,
    "channel": {"type": "str", "required": True},
    "image_id": {"type": "str"},
    "manifest": {"type": "dict"},
    "from_channel": {"type": "str"},
    "release_id": {"type": "str"},
    "replaces": {"type": "str"},
    "base_url": {"type": "str"},
    "kernel_params": {"type": "list", "elements": "str", "default": []},
    "url_style": {"type": "str", "choices": ["relative", "absolute"], "default": "relative"},
    "signed": {"type": "bool", "default": False},
    "signatures": {"type": "dict"},
    "signed_digests": {"type": "dict"},
}
SOURCES = ("image_id", "manifest", "from_channel")


def run(params: dict[str, Any], check_mode: bool) -> Publication:
    """Do what the arguments say."""
    channel = check_channel(params["channel"])
    writer = writer_of(params, check_mode)._replace(signed=params["signed_digests"], signatures=params["signatures"])
    return switch(writer, channel, choice(params, channel), params["replaces"])


def choice(params: dict[str, Any], channel: str) -> Choice:
    """What is to be active."""
    root = store_root(params)
    if all(params[source] is None for source in SOURCES):
        return older(root, channel, params["release_id"])
    settings = Settings(
        channel,
        check_base_url(params["base_url"]),
        params["url_style"],
        tuple(params["kernel_params"]),
        params["signed"],
    )
    if params["from_channel"] is not None:
        return promotion(root, params["from_channel"], params["release_id"], settings)
    if params["manifest"] is not None:
        return image_of(check_manifest(params["manifest"], "manifest"), settings)
    return image_of(staged_manifest(root, params["image_id"]), settings)


def result(done: Publication) -> dict[str, Any]:
    """What the module returns."""
    return {
        "changed": done.changed,
        "action": done.action,
        "release_id": done.release.release_id,
        "image_id": done.release.manifest.image_id,
        "url": done.url,
        "previous_release_id": done.previous_release_id,
        "kernel_params": done.after["kernel_params"],
        "command_line": done.release.command_line,
        "bytes": done.after["bytes"],
        "bytes_added": bytes_added(done.before, done.after),
        "bytes_freed": bytes_added(done.after, done.before) if done.before else 0,
        "to_sign": done.to_sign,
        "missing_blobs": [file.name for file in done.missing],
        "diff": as_diff(done.release.settings.channel, done.before, done.after),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        mutually_exclusive=[SOURCES, ("image_id", "release_id"), ("manifest", "release_id")],
        required_one_of=[(*SOURCES, "release_id")],
        required_by=dict.fromkeys(SOURCES, ("base_url",)),
        required_together=[("signatures", "signed_digests")],
        supports_check_mode=True,
    )
    try:
        done = run(module.params, module.check_mode)
    except NetbootError as error:
        module.fail_json(msg=str(error))
    if done.missing:
        module.warn(
            f"Not on this host yet: {counted(len(done.missing), 'blob')} of the image; the stream has to bring them."
        )
    module.exit_json(**result(done))


if __name__ == "__main__":
    main()
