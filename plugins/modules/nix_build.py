#!/usr/bin/python
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nix_build
short_description: Evaluate a Nix expression and build it
version_added: 0.1.0
author:
  - nixmetal.builders contributors (@nixmetal)
description:
  - Evaluates an expression to one derivation and builds its outputs, by the Nix that is installed on the host.
  - With O(evaluate_only) it stops after the evaluation. M(nixmetal.builders.nix_copy) then brings the derivation to another
    host, where O(derivation) builds it.
  - Works with Nix 2.8 (Debian 12) and later, by C(nix-instantiate) and C(nix-store), and by C(nix) for O(flake) alone. It was tried
    with 2.8, 2.26 and 2.34.
  - The store may be the user's own or a daemon's, which Nix finds by itself, or by C(NIX_REMOTE) in the task's environment. Where the
    daemon does not trust the user, it takes its own settings in place of some that the task gives, such as C(sandbox).
requirements:
  - Nix on the host (role P(nixmetal.builders.nix_host#role)).
attributes:
  check_mode:
    support: full
    details:
      - Evaluates into a store of its own in a temporary directory, which is removed again. Builds nothing, turns no link.
      - RV(built), RV(fetched) and the sizes tell what a real run would build and fetch. With O(evaluate_only) they tell it too,
        for O(build_host) where that is given.
      - When O(derivation) is not in the store of the host, because the task that brings it there did not run either, a warning
        says so, and RV(outputs) is empty.
      - An expression that imports what it has built itself can only be evaluated by a real run.
  diff_mode:
    support: full
    details:
      - Shows the links of O(out_link) before and after, and by package, version and bytes what the closures they lead to differ in.
      - In check mode it shows what would be built and fetched. Of what is not built yet the versions are those of the
        derivations that it is made of, and no bytes are known.
  idempotent:
    support: full
options:
  file:
    description:
      - File or directory (with C(default.nix)) on the host that holds the expression.
      - Exactly one of O(file), O(expression), O(flake), O(derivation) and O(path) is needed.
    type: path
  expression:
    description:
      - The expression itself.
    type: str
  flake:
    description:
      - Reference to a flake, without the part after C(#), which is O(attr). Nix's features C(nix-command) and C(flakes) are
        turned on for this call. The lock file is not written.
    type: str
  derivation:
    description:
      - Store path of a derivation that is already in the store of the host. C(!OUTPUT) at its end chooses what RV(out_path) is.
    type: str
  path:
    description:
      - Store path of an output that is built already. Where the host lacks it, it is fetched from the binary caches.
    type: str
  attr:
    description:
      - Attribute path of the derivation in the value of the expression, such as C(image) or C(packages.x86_64-linux.default).
    type: str
  args:
    description:
      - Arguments of the expression, which then is a function of a set. Strings, numbers, booleans, null, lists and
        dictionaries become Nix values of the same type.
      - They pass through a JSON file that Nix reads, so nothing in them is ever taken for Nix code.
      - What the derivation holds of them is readable by all users of the store. Give no secrets.
    type: dict
    default: {}
  search_path:
    description:
      - Names for lookup paths and where they lead, such as C(nixpkgs) for C(<nixpkgs>).
      - That is a directory on the host, or the address of an archive that Nix fetches. One of a single commit pins it, such as
        C(https://github.com/NixOS/nixpkgs/archive/COMMIT.tar.gz).
    type: dict
    default: {}
  evaluate_only:
    description:
      - Write the derivation into the store and build nothing. RV(outputs) then holds where the outputs will be.
      - Nix does not tell whether the derivation of a O(flake) was there before, so for a flake this is never a change.
    type: bool
    default: false
  build_host:
    description:
      - The host that will build what O(evaluate_only) evaluates, as C(ssh://user@host). Check mode asks its store what it lacks.
      - Without it the store of the task's host is asked.
    type: str
  out_link:
    description:
      - Symbolic link to make to output C(out), with C(-NAME) added for the other outputs. It keeps the result from the garbage
        collector. With O(evaluate_only) it leads to the derivation, which a O(flake) cannot do.
    type: path
  rebuild:
    description:
      - Build again what is there already, and fail when the result differs from it. Does not count as a change.
    type: bool
    default: false
  store:
    description:
      - URL of the Nix store to work in, in place of the default one.
    type: str
  builders:
    description:
      - Remote builders in place of those of the host, as rows of a machines file, one on each line, or C(@) and a file name.
      - An empty string means none.
    type: str
  max_jobs:
    description:
      - How many builds may run on the host itself at a time, or V(auto) for one on each processor.
      - V(0) sends every build to O(builders).
    type: str
  cores:
    description:
      - Processors that one build may use; V(0) means all.
    type: int
  substituters:
    description:
      - URLs of the binary caches to use in place of those of the host. An empty list means none.
    type: list
    elements: str
  keep_going:
    description:
      - After a failure build what does not depend on it.
    type: bool
    default: false
  options:
    description:
      - Further settings of C(nix.conf) for this call. Lists are joined by spaces.
      - They reach Nix through its environment, but like all options they stand in Ansible's verbose output. Secrets belong into
        the host's C(nix.conf).
    type: dict
    default: {}
  log_lines:
    description:
      - How many of the last lines of a failed build's log to return.
    type: int
    default: 40
  progress:
    description:
      - >-
        Seconds between lines in the playbook's output that tell how far the build is: derivations, copies and bytes done and to be
        done, and the names of what it is at. V(0) shows none.
      - With it, the build runs in a process of its own on the host. A connection that breaks is taken up again for two minutes.
      - When Ansible is interrupted or killed, or loses the host for good, the build goes on for at most five minutes and is then ended.
        A next run that evaluates to the same derivation, with the same settings, follows the build that still runs, or goes on from
        what was built.
      - Without it, a build whose Ansible was killed goes on to its end on the host.
      - Has no effect in check mode and with C(async).
    type: int
    default: 0
extends_documentation_fragment:
  - nixmetal.builders.attributes
  - nixmetal.builders.nix_ssh
seealso:
  - module: nixmetal.builders.nix_copy
"""

EXAMPLES = r"""
- name: Build an expression that is part of the task
  nixmetal.builders.nix_build:
    expression: |
      { greeting, system ? builtins.currentSystem }:
      derivation {
        name = "greeting";
        inherit system;
        builder = "/bin/sh";
        args = [ "-c" "echo '${greeting}' >$out" ];
      }
    args:
      greeting: Hello from a derivation

- name: Evaluate here
  nixmetal.builders.nix_build:
    file: /srv/nix/default.nix
    attr: image
    args:
      settings:
        authorizedKeys:
          - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWPjc0g8uVZr1oVTGbkXkjVQTzzHRQ0Mx6IYHMV2O4w ops@example.org
    evaluate_only: true
  register: evaluated

- name: Build what was evaluated, and keep it
  nixmetal.builders.nix_build:
    derivation: "{{ evaluated.derivation }}"
    out_link: /var/lib/netboot/image
"""

RETURN = r"""
derivation:
  description: Store path of the derivation. Null with O(path).
  returned: success
  type: str
  sample: /nix/store/bj7ykn0q5xmx9fd5sphqfwki9iz8d4jm-lab-image.drv
outputs:
  description: Store paths of all outputs by their names.
  returned: success
  type: dict
  sample:
    out: /nix/store/f2g3y1z2c49759dl1sfy2c3lr73cfyk2-lab-image
out_path:
  description: Store path of the chosen output, usually C(out).
  returned: success
  type: str
  sample: /nix/store/f2g3y1z2c49759dl1sfy2c3lr73cfyk2-lab-image
built:
  description: Derivations that were built, or would be, in the order in which they were begun.
  returned: always when Nix came to build
  type: list
  elements: str
  sample: [/nix/store/mjyjb7cav92vrlcm6mzzrs6nk9wyqamc-segment-30-nix.drv, /nix/store/bj7ykn0q5xmx9fd5sphqfwki9iz8d4jm-lab-image.drv]
fetched:
  description: Store paths that were fetched from binary caches, or would be.
  returned: success
  type: list
  elements: str
  sample: []
download_size:
  description: Bytes to download for RV(fetched), as Nix foretells and rounds them. Null when it was done and not foretold.
  returned: success
  type: int
  sample: 1468006
unpacked_size:
  description: Bytes of RV(fetched) in the store. Rounded by Nix in check mode.
  returned: success
  type: int
  sample: 5452595
closure_size:
  description: Bytes of RV(out_path) and all that it refers to. Null when that is not in the store.
  returned: success
  type: int
  sample: 59305856
difference:
  description:
    - What the closures differ in to which O(out_link) led before and leads now, an entry for each package.
    - Where check mode has nothing built to compare, the versions are those of the derivations, and bytes are null.
  returned: success
  type: list
  elements: dict
  sample:
    - name: openssl
      before: ["3.0.14"]
      after: ["3.0.15"]
      bytes_before: 6291456
      bytes_after: 6295552
failed_derivations:
  description: Derivations whose own builders failed.
  returned: when a build failed
  type: list
  elements: str
  sample: [/nix/store/fpg941fmdprbgnf6wymr9jjcd90yfink-segment-10-base.drv]
log:
  description: Last lines of the failed builds' logs.
  returned: when a build failed
  type: list
  elements: str
  sample: ["mksquashfs: no space left on device"]
stderr:
  description: What Nix printed.
  returned: when an evaluation failed
  type: str
  sample: "error: file 'nixpkgs' was not found in the Nix search path (add it using $NIX_PATH or -I)"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.arguments import (
    BUILD,
    EXCLUSIVE,
    SOURCES,
    request,
    settings,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError


def main() -> None:
    """Answer one task."""
    module = AnsibleModule(
        argument_spec=BUILD,
        mutually_exclusive=EXCLUSIVE,
        required_one_of=[SOURCES],
        supports_check_mode=True,
    )
    try:
        result = build(Nix(settings(module.params)), request(module.params), module.check_mode)
    except NixError as error:
        module.fail_json(msg=str(error), **error.details)
    answer = result.public()
    for warning in answer.pop("warnings"):
        module.warn(warning)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
