#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_status
short_description: Write the status page and the metrics of a web root
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Writes C(ROOT/status/index.html), a page without a script that a phone shows too, and the same as C(ROOT/status/status.json).
  - They tell each channel's active release, its files, sizes and digests, what changed with it, what is in the store, and the
    history with who did it. They change only when the store does.
  - Writes C(METRICS_FILE) for the text file collector of Prometheus's node exporter. The role
    P(nixmetal.builders.netboot_releases#role) has alert rules for it.
  - A file that is read meanwhile is seen as it was or as it is, never in parts.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - The metrics hold what is observed, such as the free space, so they are written each time and are not counted as a change.
options:
  metrics_file:
    description:
      - Where the metrics are written, a file with the ending C(.prom) in the collector's directory, which must exist.
      - Without it none are written.
    type: path
  good_build_of:
    description:
      - A channel for which a build has just succeeded, also when it brought nothing new. When that was is kept in
        C(ROOT/.state/builds/) and told by C(nixmetal_netboot_last_good_build_timestamp_seconds).
    type: str
  certificate:
    description:
      - Certificate chain of the web server, or the directory of its ACME client, whose expiry is told by
        C(nixmetal_netboot_certificate_not_after_timestamp_seconds). One that cannot be read counts as expired at 0.
    type: path
  certificate_name:
    description:
      - Which certificate is meant when that directory holds several, as lego's does, by the name of its file without the ending.
    type: str
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.netboot_store
seealso:
  - module: nixmetal.builders.netboot_release
  - module: nixmetal.builders.netboot_release_info
"""

EXAMPLES = r"""
- name: Bring the page and the metrics up to date after a build
  nixmetal.builders.netboot_status:
    root: /srv/netboot
    metrics_file: /var/lib/prometheus/node-exporter/netboot.prom
    good_build_of: hydra-x86_64-linux
"""

RETURN = r"""
metrics:
  description: The metrics as text. The sample leaves out two of them, whose lines are long.
  returned: success
  type: str
  sample: |
    # HELP nixmetal_netboot_release_activated_timestamp_seconds When the active release of the channel became so.
    # TYPE nixmetal_netboot_release_activated_timestamp_seconds gauge
    nixmetal_netboot_release_activated_timestamp_seconds{channel="lab-x86_64-linux"} 1795700313
    # HELP nixmetal_netboot_releases Releases of the channel in the store.
    # TYPE nixmetal_netboot_releases gauge
    nixmetal_netboot_releases{channel="lab-x86_64-linux"} 2
    # HELP nixmetal_netboot_blobs_bytes Bytes of all blobs.
    # TYPE nixmetal_netboot_blobs_bytes gauge
    nixmetal_netboot_blobs_bytes 59302336
    # HELP nixmetal_netboot_free_bytes Bytes that can still be written to the file system of the store.
    # TYPE nixmetal_netboot_free_bytes gauge
    nixmetal_netboot_free_bytes 41996406784
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.arguments import ROOT, store_root
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status import Wanted, write_status

ARGUMENTS = {
    **ROOT,
    "metrics_file": {"type": "path"},
    "good_build_of": {"type": "str"},
    "certificate": {"type": "path"},
    "certificate_name": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    choices = (module.params[name] for name in ("metrics_file", "good_build_of", "certificate", "certificate_name"))
    wanted = Wanted(store_root(module.params), *choices)
    try:
        written = write_status(wanted, module.check_mode)
    except NetbootError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=written.changed, metrics=written.metrics)


if __name__ == "__main__":
    main()
