#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_stream
short_description: Stream an image or a directory from one host straight to another
version_added: 0.1.0
description:
  - Copies an image directory, or any directory of files, from the inventory host O(source) to the task's host. The bytes go from
    host to host; the controller only brings the two together, unless O(via=controller).
  - Only what the destination lacks travels. A transfer that was interrupted goes on where it stopped, files that are there are
    recognised without reading them again, and a second run sends nothing and reports RV(ignore:changed=false).
  - Both hosts need Python and its standard library, nothing else. Each is reached with its own connection, address, port, user,
    privilege escalation and interpreter, as its inventory variables say; O(source) is treated like a host that a task is
    delegated to.
  - The connection is TLS 1.3. Both sides show a certificate that the controller made for this transfer, and accept no other one;
    connections that are not the peer's are refused, reported as a warning, and do not end the transfer. No key is kept.
  - With O(layout=image) the destination is a blob store as M(nixmetal.builders.netboot_release) publishes from. Files go to
    C(DEST/blobs/sha256/DIGEST) with mode 0444, and when all are there the manifest goes to
    C(DEST/.state/staging/IMAGE_ID/manifest.json). Nothing that is served changes.
  - With O(layout=directory) the destination is replaced as a whole, with one rename, when everything has arrived. What stood
    there and is not in the source is gone afterwards. Permissions are kept, owners and times are not. Links and special files
    are refused.
  - Every file is verified while it is received, flushed to the disk, and only then given its name.
author:
  - nixmetal.builders contributors (@nixmetal)
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.action
attributes:
  action:
    support: full
  async:
    support: none
    details:
      - The action plugin waits itself, and shows how far the transfer is.
  check_mode:
    support: full
    details:
      - Says what would travel. The source's files are looked at, nothing is written on either host.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  source:
    description:
      - Inventory name of the host that has the directory. It may be the task's own host.
    type: str
    required: true
  src:
    description:
      - The directory on O(source). With O(layout=image) it holds C(manifest.json), as the output of an image build does.
      - A symbolic link to a directory is followed.
    type: path
    required: true
  dest:
    description:
      - On the task's host, the root of the blob store, or with O(layout=directory) the directory to replace.
      - Missing parents are made.
    type: path
    required: true
  layout:
    description:
      - What travels. An V(image) directory, whose manifest names its files and their digests, or any V(directory), whose files
        are read once on the source to make such a manifest.
    type: str
    choices: [image, directory]
    default: image
  listen:
    description:
      - Which of the two hosts listens for the other, for networks in which connections are possible in one direction only.
    type: str
    choices: [destination, source]
    default: destination
  via:
    description:
      - V(direct) is from host to host.
      - V(controller) is for networks in which neither host can reach the other. Both hosts listen on their own loopback address,
        and the controller's SSH connections carry the stream, still encrypted from end to end, at the speed of these connections.
        They must be SSH with a login by key, or local, and the SSH servers must allow TCP forwarding. O(listen) and O(address) have
        no effect then.
    type: str
    choices: [direct, controller]
    default: direct
  address:
    description:
      - Address at which the connecting host finds the listening one. Where it is an address of the listening host itself,
        nothing else is listened on.
      - By default the address at which Ansible reaches the listening host is tried, then those of its own addresses that face
        the other host.
    type: str
  ports:
    description:
      - Port to listen on, or a range C(FIRST-LAST) of which the first free one is taken. V(0) is any free port.
    type: str
    default: "0"
  connections:
    description:
      - Connections over which the bytes travel, at most 16. With V(0) it is one, or four when an answer of the other host takes more
        than 5 ms, as the window of a single connection would hold it up then, unless O(bandwidth_limit) does so anyway.
      - Each file travels over one of them, so that a source of one large file gains nothing. With O(via=controller) it is always one.
    type: int
    default: 0
  connect_timeout:
    description:
      - Seconds within which the two hosts must have found each other.
    type: float
    default: 30.0
  silence_timeout:
    description:
      - Seconds without a byte after which the other host is given up.
    type: float
    default: 60.0
  timeout:
    description:
      - Seconds for the whole transfer. The processes on both hosts end then, whatever became of the controller.
    type: float
    default: 7200.0
  bandwidth_limit:
    description:
      - Bytes per second to send at most. V(0) is no limit.
    type: int
    default: 0
notes:
  - With pipelining (C(pipelining = true) in the section C(ssh_connection) of C(ansible.cfg)) the keys reach the hosts through
    standard input. Without it Ansible writes the arguments of every module to a temporary file that only the user can read.
seealso:
  - module: nixmetal.builders.nix_build
  - module: nixmetal.builders.netboot_release
"""

EXAMPLES = r"""
- name: Stream the image from the build host to the web host
  nixmetal.builders.artifact_stream:
    source: lab-build
    src: "{{ hostvars['lab-build'].image.out_path }}"
    dest: /srv/netboot
  delegate_to: lab-web
  register: streamed

- name: The build host accepts connections, the web host does not
  nixmetal.builders.artifact_stream:
    source: build
    src: /nix/store/0c6kzph7l0dcbfmjap64f0czdafn7hvh-netboot
    dest: /srv/netboot
    listen: source
    ports: 40000-40010

- name: The two hosts cannot reach each other at all
  nixmetal.builders.artifact_stream:
    source: build
    src: /nix/store/0c6kzph7l0dcbfmjap64f0czdafn7hvh-netboot
    dest: /srv/netboot
    via: controller

- name: Mirror a plain directory, at 20 MB per second
  nixmetal.builders.artifact_stream:
    source: build
    src: /srv/documentation
    dest: /srv/www/documentation
    layout: directory
    bandwidth_limit: 20000000
"""

RETURN = r"""
source:
  description: The host that sent.
  returned: success
  type: str
  sample: lab-build
image_id:
  description: What the image calls itself, with O(layout=image).
  returned: success
  type: str
  sample: f2g3y1z2c49759dl1sfy2c3lr73cfyk2-lab-image
manifest:
  description: The image's manifest, with O(layout=image).
  returned: success
  type: dict
  sample:
    schema: 1
    image_id: f2g3y1z2c49759dl1sfy2c3lr73cfyk2-lab-image
    system: x86_64-linux
    kernel_params: [panic=10, random.trust_cpu=on]
    files: []
bytes_sent:
  description: Bytes of files that went over the wire.
  returned: success
  type: int
  sample: 59302336
bytes_resumed:
  description: Bytes kept from a transfer that was interrupted.
  returned: success
  type: int
  sample: 0
bytes_reused:
  description: Bytes taken from other files of the destination that hold the same pieces.
  returned: success
  type: int
  sample: 0
bytes_skipped:
  description: Bytes of files that were there already.
  returned: success
  type: int
  sample: 0
bytes_to_send:
  description: In check mode, bytes that would travel.
  returned: success
  type: int
  sample: 0
files_sent:
  description: Number of files that came into place. Identical files count once.
  returned: success
  type: int
  sample: 6
files_skipped:
  description: Number of files that were there already.
  returned: success
  type: int
  sample: 0
files:
  description: Names of the files that travelled, or in check mode would travel; the first thousand.
  returned: success
  type: list
  elements: str
  sample: [kernel, initrd-00-stage-1, 10-libraries.squashfs]
seconds:
  description: From the moment both hosts had found each other until everything was durable.
  returned: success
  type: float
  sample: 1.192
rate:
  description: Bytes per second over the wire in that time.
  returned: success
  type: int
  sample: 49750282
tls:
  description: Protocol version and cipher of the connection; empty when nothing had to travel.
  returned: success
  type: dict
  sample: {version: TLSv1.3, cipher: TLS_AES_256_GCM_SHA384}
connections:
  description: Number of connections that the bytes travelled over; V(0) when nothing had to travel.
  returned: success
  type: int
  sample: 1
refused:
  description: Connections that were not the peer's.
  returned: success
  type: list
  elements: dict
  sample: [{address: 10.0.0.66, reason: "TLS handshake failed (CERTIFICATE_VERIFY_FAILED)"}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.stream.arguments import STREAM


def main() -> None:
    """Fail: two hosts take part, so the work is driven by the action plugin of the same name."""
    module = AnsibleModule(argument_spec=STREAM, supports_check_mode=True)
    module.fail_json(
        msg="artifact_stream is run by its action plugin, on the controller; name it nixmetal.builders.artifact_stream"
    )


if __name__ == "__main__":
    main()
