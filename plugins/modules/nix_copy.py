#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nix_copy
short_description: Copy Nix store paths with all they need to another host
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Copies the closures of store paths from the task's host straight to another by SSH. Nothing passes through the controller.
  - Only what the other host lacks travels.
  - The closure of a derivation (C(.drv)) is what is needed to build it, so that one host evaluates and another builds.
requirements:
  - Nix on both hosts (role P(nixmetal.builders.nix_host#role)), and C(ssh) on the task's host.
  - A login on the other host that is among the C(trusted-users) of its Nix, because the paths are not signed.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the paths that the other host lacked.
  idempotent:
    support: full
options:
  paths:
    description:
      - Store paths to copy.
    type: list
    elements: str
    required: true
  to:
    description:
      - The other host, C(ssh://user@host) or C(ssh://user@host:port), as the task's host reaches it.
    type: str
    required: true
  substitute_on_destination:
    description:
      - Let the other host fetch from its binary caches what they have.
    type: bool
    default: false
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.nix_ssh
seealso:
  - module: nixmetal.builders.nix_build
"""

EXAMPLES = r"""
# A root that waits for the derivation before it comes, so that no collector of garbage gets in between.
- name: Keep the derivation on the build host
  ansible.builtin.file:
    src: "{{ evaluated.derivation }}"
    dest: /nix/var/nix/gcroots/image.drv
    state: link
    force: true
    follow: false
  delegate_to: build.example.org

- name: Bring the derivation to the build host
  nixmetal.builders.nix_copy:
    paths:
      - "{{ evaluated.derivation }}"
    to: ssh://root@build.example.org
    ssh_key: /root/.ssh/id_ed25519
    ssh_known_hosts: /etc/nix/build_hosts
"""

RETURN = r"""
copied:
  description: Store paths that the other host lacked and that travelled, or would. In check mode all that it lacks.
  returned: success
  type: list
  elements: str
  sample: [/nix/store/089cbkbw5sn34dhjiqk4kh3ff79llr20-libmd0_1.0.4-2_amd64.deb, /nix/store/9vl9jfgwppaj5n66nrf87jcs4q4wsrfq-kernel.drv]
bytes_copied:
  description: Bytes of RV(copied) in the store.
  returned: success
  type: int
  sample: 62103224
substituted:
  description: Store paths that the other host lacked and fetched from its binary caches (O(substitute_on_destination)).
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.arguments import SSH, peer
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.copying import copy
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError

ARGUMENTS = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "to": {"type": "str", "required": True},
    **SSH,
    "substitute_on_destination": {"type": "bool", "default": False},
}


def main() -> None:
    """Answer one task."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        copied = copy(
            Nix({}),
            module.params["paths"],
            peer(module.params["to"], module.params),
            substitute=module.params["substitute_on_destination"],
            check_mode=module.check_mode,
        )
    except NixError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**copied.public())


if __name__ == "__main__":
    main()
