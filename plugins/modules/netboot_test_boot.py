#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_test_boot
short_description: Boot a netboot image in a virtual machine before it is published
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Boots an image once on this host, in QEMU, by iPXE and with the script that M(nixmetal.builders.netboot_release) would publish,
    and waits until the machine has reported its image id and that it is ready, as builders do to the metadata service.
  - Fails when it reports another image, when it panics or restarts, and when the time is over. The message ends with the last lines
    of the console; all of it is kept in O(console_file).
  - The machine has no disk. Its script, its blobs and its metadata come from a server inside this module.
  - The kernel parameters C(console=ttyS0), C(panic=-1) and C(nixmetal.metadata) are added at the end.
requirements:
  - qemu-system-x86_64 with its iPXE network boot ROM (Debian packages qemu-system-x86 and ipxe-qemu)
attributes:
  check_mode:
    support: partial
    details:
      - Nothing is booted in check mode, and the result says so.
  diff_mode:
    support: N/A
    details:
      - Nothing but the console's file is changed.
  idempotent:
    support: full
    details:
      - Never says changed.
options:
  root:
    description:
      - Web root with the blobs of the image, which O(image_id) or O(manifest) names.
    type: path
  directory:
    description:
      - Image directory as Nix builds it, in place of a web root.
    type: path
  image_id:
    description:
      - Image to boot, whose manifest M(nixmetal.builders.artifact_stream) has staged in O(root).
    type: str
  manifest:
    description:
      - Manifest of the image to boot, whose blobs are in O(root).
    type: dict
  channel:
    description:
      - The channel that the image is for.
    type: str
    required: true
  kernel_params:
    description:
      - Kernel parameters that the channel adds.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds within which the machine has to be ready.
    type: float
    default: 300
  memory_mb:
    description:
      - Memory of the machine in MiB. It has to hold the unpacked initrds.
    type: int
    default: 2048
  cores:
    description:
      - Processors of the machine.
    type: int
    default: 2
  acceleration:
    description:
      - V(auto) takes KVM where it works, else software emulation (V(tcg)), which is several times slower.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  isolated:
    description:
      - Whether the machine gets a network in which there is only this module, which takes root. Otherwise it reaches what this host
        reaches.
    type: bool
    default: true
  qemu:
    description:
      - The program.
    type: str
    default: qemu-system-x86_64
  qemu_arguments:
    description:
      - More arguments for it.
    type: list
    elements: str
    default: []
  console_file:
    description:
      - Where the console is kept; that of an earlier boot is overwritten.
      - The default is C(/var/lib/nixmetal/test-boots/CHANNEL.log).
    type: path
extends_documentation_fragment:
  - nixmetal.builders.attributes
seealso:
  - module: nixmetal.builders.netboot_release
"""

EXAMPLES = r"""
- name: See the streamed image boot
  nixmetal.builders.netboot_test_boot:
    root: /srv/netboot
    channel: hydra-x86_64-linux
    image_id: 3vlh8xfcb0ml5ixd3aqa35vdb2xv8ch0-netboot
    timeout: 600
"""

RETURN = r"""
image_id:
  description: What the machine said that it runs.
  returned: success
  type: str
  sample: v4nynp71yx0c7ry54l9mbx77j4i6a3l3-lab-image
boot_id:
  description: The machine's boot id.
  returned: when something was booted
  type: str
  sample: 393b6db0-760c-4a0f-972a-8b20e5f3bb75
seconds:
  description: From the start of QEMU until the machine was ready.
  returned: when something was booted
  type: float
  sample: 30.7
acceleration:
  description: Whether the machine ran on KVM (V(kvm)) or in software emulation (V(tcg)).
  returned: when something was booted
  type: str
  sample: tcg
console_file:
  description: Where the console is.
  returned: when something was booted
  type: str
  sample: /var/lib/nixmetal/test-boots/lab-x86_64-linux.log
"""

import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.names import check_channel
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot import isolation
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.boot import (
    Trial,
    boot,
    from_directory,
    from_store,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.machine import Hardware

ARGUMENTS = {
    "root": {"type": "path"},
    "directory": {"type": "path"},
    "image_id": {"type": "str"},
    "manifest": {"type": "dict"},
    "channel": {"type": "str", "required": True},
    "kernel_params": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 300},
    "memory_mb": {"type": "int", "default": 2048},
    "cores": {"type": "int", "default": 2},
    "acceleration": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
    "isolated": {"type": "bool", "default": True},
    "qemu": {"type": "str", "default": "qemu-system-x86_64"},
    "qemu_arguments": {"type": "list", "elements": "str", "default": []},
    "console_file": {"type": "path"},
}
CONSOLES = "/var/lib/nixmetal/test-boots"


def trial_of(params: dict[str, Any]) -> Trial:
    """What is to be booted."""
    channel, words = check_channel(params["channel"]), tuple(params["kernel_params"])
    if params["directory"] is not None:
        manifest, files = from_directory(params["directory"])
        return Trial(manifest, channel, words, files)
    if params["manifest"] is not None:
        manifest = check_manifest(params["manifest"], "manifest")
    else:
        manifest = staged_manifest(params["root"], params["image_id"])
    return Trial(manifest, channel, words, from_store(params["root"], manifest))


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Boot it, unless this is check mode."""
    trial = trial_of(params)
    if check_mode:
        return {"image_id": trial.manifest.image_id, "skipped": True, "msg": "Nothing is booted in check mode."}
    for program in (params["qemu"], "setpriv"):
        if not shutil.which(program):
            raise NetbootError(
                f"qemu: there is no {program} on this host. Install it (Debian: qemu-system-x86, ipxe-qemu and util-linux), or boot the "
                "image on another host; nothing was booted."
            )
    if params["isolated"]:
        isolation.enter()
    hardware = Hardware(
        params["qemu"], params["memory_mb"], params["cores"], params["acceleration"], tuple(params["qemu_arguments"])
    )
    console = params["console_file"] or f"{CONSOLES}/{trial.channel}.log"
    done = boot(trial, hardware, console, params["timeout"])
    return {
        **done.report._asdict(),
        "acceleration": done.acceleration,
        "seconds": round(done.seconds, 1),
        "console_file": console,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        mutually_exclusive=[("root", "directory"), ("image_id", "manifest", "directory")],
        required_one_of=[("root", "directory"), ("image_id", "manifest", "directory")],
        required_by={"image_id": ("root",), "manifest": ("root",)},
        supports_check_mode=True,
    )
    try:
        told = run(module.params, module.check_mode)
    except (NetbootError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
