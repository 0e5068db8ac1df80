#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netboot_signature
short_description: Sign what iPXE verifies before it boots
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Makes detached CMS signatures that the command C(imgverify) of iPXE reads, of files of which only the SHA-256 is given.
  - It runs on the host that holds the key. The key does not leave it, and the files need not come to it.
  - Signatures by RSA are the same each time, so signing the same again changes nothing.
  - Nothing is changed on the host. It needs the program C(openssl).
options:
  digests:
    description:
      - What to sign, each file's name with its SHA-256 in hexadecimal digits, as
        RV(nixmetal.builders.netboot_release#module:to_sign) has it.
    type: dict
    required: true
  certificate:
    description:
      - File with the code signing certificate and those that signed it, up to the root that iPXE was built to trust, in PEM form.
      - The first has to have an RSA key and the extended key usage C(codeSigning).
    type: path
    required: true
  key:
    description:
      - File with the key of the first certificate.
    type: path
    required: true
  passphrase_file:
    description:
      - File whose first line is the key's passphrase.
    type: path
  openssl:
    description:
      - The program.
    type: str
    default: openssl
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.attributes.info_module
seealso:
  - module: nixmetal.builders.netboot_release
"""

EXAMPLES = r"""
- name: Sign on the host that holds the key
  nixmetal.builders.netboot_signature:
    digests: "{{ rehearsed.to_sign }}"
    certificate: /etc/netboot/code-signing.pem
    key: /etc/netboot/code-signing.key
  delegate_to: signer.example.org
  register: signed
"""

RETURN = r"""
signatures:
  description: Each file's name with its signature in base64.
  returned: success
  type: dict
  sample: {netboot.ipxe: MIIHyQYJKoZIhvcNAQcCoIIHujCCB7YCAQExDTALBglghkgBZQMEAgEwCwYJKoZI...}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.cms import Signer, sign_digests
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError

ARGUMENTS = {
    "digests": {"type": "dict", "required": True},
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "required": True, "no_log": False},
    "passphrase_file": {"type": "path", "no_log": False},
    "openssl": {"type": "str", "default": "openssl"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    signer = Signer(*(module.params[name] for name in ("certificate", "key", "passphrase_file", "openssl")))
    try:
        signatures = sign_digests(signer, module.params["digests"])
    except NetbootError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, signatures=signatures)


if __name__ == "__main__":
    main()
