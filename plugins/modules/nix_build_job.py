#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nix_build_job
short_description: One step of a Nix build that is looked at while it runs
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Used by the action plugin of M(nixmetal.builders.nix_build) when its O(nixmetal.builders.nix_build#module:progress) is set, not by
    playbooks.
  - The build runs in a process of its own on the host. What is known of it is kept in C(~/.ansible/nixmetal-builds), in a directory
    for each run, and removed a day after the last look at it.
requirements:
  - Nix on the host (role P(nixmetal.builders.nix_host#role)).
attributes:
  check_mode:
    support: none
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  operation:
    description:
      - V(start) begins the build, or follows one that another run began of the same derivation with the same settings. V(wait)
        waits for its end. V(stop) says that the run does not want it any more; it ends unless another run follows it.
      - Each may be said again when the answer was lost.
    type: str
    choices: [start, wait, stop]
    required: true
  run:
    description: The name that the action plugin gave its run, 32 hexadecimal digits.
    type: str
    required: true
  build:
    description: The options of M(nixmetal.builders.nix_build). Needed by V(start).
    type: dict
  seconds:
    description: How long to wait for the end before telling how far the build is.
    type: float
    default: 0
  lease:
    description: Seconds after which a build that nobody asks for is ended.
    type: float
    default: 300
extends_documentation_fragment:
  - nixmetal.builders.attributes
seealso:
  - module: nixmetal.builders.nix_build
"""

EXAMPLES = r"""
- name: Look at a build for two seconds
  nixmetal.builders.nix_build_job:
    operation: start
    run: 6f1ed002ab5595859014ebf0951522d9
    seconds: 2
    build:
      file: /srv/nix/default.nix
"""

RETURN = r"""
finished:
  description: Whether the build has ended.
  returned: success
  type: bool
  sample: false
outcome:
  description: What M(nixmetal.builders.nix_build) returns.
  returned: when it has ended
  type: dict
  sample:
    changed: true
progress:
  description: How far the build is. Empty while the expression is evaluated.
  returned: when it has not ended
  type: dict
  sample:
    built: 3
    to_build: 40
attached:
  description: Whether another run began the build.
  returned: from V(start) and V(wait)
  type: bool
  sample: false
left:
  description: How an earlier run of the same build ended that nobody saw end.
  returned: from V(start) and V(wait)
  type: str
  sample: ""
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.arguments import BUILD, EXCLUSIVE, SOURCES
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.build_job import BASE, step

ARGUMENTS = {
    "operation": {"type": "str", "choices": ["start", "wait", "stop"], "required": True},
    "run": {"type": "str", "required": True},
    "build": {"type": "dict"},
    "seconds": {"type": "float", "default": 0},
    "lease": {"type": "float", "default": 300},
}


def checked(module: AnsibleModule) -> dict[str, Any]:
    """The build's options as nix_build itself would take them; they are documented there, once."""
    if not re.fullmatch("[0-9a-f]{32}", module.params["run"]):
        module.fail_json(msg=f"run is {module.params['run']!r}, not 32 hexadecimal digits")
    if module.params["operation"] != "start":
        return {}
    validator = ArgumentSpecValidator(BUILD, mutually_exclusive=EXCLUSIVE, required_one_of=[SOURCES])
    result = validator.validate(module.params["build"])
    if result.error_messages:
        module.fail_json(msg="; ".join(result.error_messages))
    return dict(result.validated_parameters)


def main() -> None:
    """Answer one step."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("operation", "start", ["build"])])
    try:
        answer = step({**module.params, "build": checked(module)})
    except OSError as error:
        module.fail_json(msg=f"{BASE}, where what is known of a build is kept, cannot be written or read: {error}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
