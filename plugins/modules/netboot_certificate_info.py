#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_certificate_info
short_description: Tell whether iPXE will accept a web server's certificate
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Reads a certificate chain and its key, from two files or from the directory of an ACME client, and says what they are for.
  - What would keep machines from booting is listed in RV(problems), and the module does not fail for it. That is a key of another
    certificate, a chain in the wrong order or without its intermediate certificates, a certificate that has expired, a name that is
    missing, and a key that iPXE does not take.
  - Nothing is changed. The key is read, and never returned.
options:
  certificate:
    description:
      - File with the certificate chain in PEM form, the server's own first.
    type: path
  key:
    description:
      - File with the key of the first certificate.
    type: path
  acme_directory:
    description:
      - In place of both files, the directory in which an ACME client keeps a certificate.
      - C(fullchain.pem) with C(privkey.pem) or C(key.pem) (certbot, dehydrated, NixOS), C(fullchain.cer) with C(NAME.key) (acme.sh), or
        C(NAME.crt) with C(NAME.key) (lego).
    type: path
  acme_name:
    description:
      - Which certificate of O(acme_directory) it is, where lego keeps several.
    type: str
  names:
    description:
      - Host names and addresses that the certificate has to be for.
    type: list
    elements: str
    default: []
  minimum_days:
    description:
      - How many days the certificate has to be valid still.
    type: float
    default: 0
  allow_ecdsa:
    description:
      - Whether the key may be an elliptic curve's. An iPXE before version 2.0 (December 2025) takes RSA alone.
    type: bool
    default: false
  served_at:
    description:
      - Address and port, such as C(127.0.0.1:443), at which to see whether the server shows this certificate already.
    type: str
  server_name:
    description:
      - The host name that is asked for there.
    type: str
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
seealso:
  - module: nixmetal.builders.netboot_status
"""

EXAMPLES = r"""
- name: See whether machines will accept it
  nixmetal.builders.netboot_certificate_info:
    acme_directory: /etc/letsencrypt/live/netboot.example.org
    names: [netboot.example.org]
    minimum_days: 7
  register: certificate
  failed_when: certificate.problems != []
"""

RETURN = r"""
certificate:
  description: The file of the chain.
  returned: success
  type: str
  sample: /etc/letsencrypt/live/netboot.example.org/fullchain.pem
key:
  description: The file of the key.
  returned: success
  type: str
  sample: /etc/letsencrypt/live/netboot.example.org/privkey.pem
subject:
  description: Common name of the server's own certificate.
  returned: success
  type: str
  sample: netboot.example.org
names:
  description: What it is for.
  returned: success
  type: list
  elements: str
  sample: [netboot.example.org]
key_type:
  description: RSA or ECDSA, or the identifier of another algorithm.
  returned: success
  type: str
  sample: RSA
not_after:
  description: When it expires.
  returned: success
  type: str
  sample: "2027-02-24T13:48:21Z"
days_left:
  description: Whole days until then.
  returned: success
  type: int
  sample: 89
chain:
  description: Common names of all certificates in the file, in their order.
  returned: success
  type: list
  elements: str
  sample: [netboot.example.org, Netboot root]
problems:
  description: Why machines would not boot with it.
  returned: success
  type: list
  elements: str
  sample: []
served:
  description: Whether the server shows this certificate; null when it does not answer.
  returned: when O(served_at) is given
  type: bool
  sample: true
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.server_certificate import (
    Demands,
    Files,
    find_files,
    inspect_certificate,
    is_served,
)

ARGUMENTS = {
    "certificate": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "acme_directory": {"type": "path"},
    "acme_name": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "minimum_days": {"type": "float", "default": 0},
    "allow_ecdsa": {"type": "bool", "default": False},
    "served_at": {"type": "str"},
    "server_name": {"type": "str"},
}


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Look at the files, and at the server."""
    if params["acme_directory"] is not None:
        files = find_files(params["acme_directory"], params["acme_name"])
    else:
        files = Files(params["certificate"], params["key"])
    demands = Demands(tuple(params["names"]), params["minimum_days"], params["allow_ecdsa"])
    told = inspect_certificate(files, demands)
    if params["served_at"] is not None:
        told["served"] = is_served(files.certificate, params["served_at"], params["server_name"])
    return told


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_one_of=[("certificate", "acme_directory")],
        mutually_exclusive=[("certificate", "acme_directory"), ("key", "acme_directory")],
        required_together=[("certificate", "key")],
        supports_check_mode=True,
    )
    try:
        told = run(module.params)
    except NetbootError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **told)


if __name__ == "__main__":
    main()
