# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How ssh reaches another host, for modules that let Nix use it."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of nix_build and nix_copy."""

    DOCUMENTATION = r"""
options:
  ssh_key:
    description:
      - Private key on the task's host. Without it C(ssh) tries its usual ones.
    type: path
  ssh_known_hosts:
    description:
      - File on the task's host with the other's host key. A host that is not in it, or has another key, is refused.
      - Without it C(ssh) asks its usual files.
    type: path
  ssh_config:
    description:
      - C(ssh_config) file to use. V(none) keeps the configuration of the host out, so that the call does the same everywhere.
    type: str
    default: none
  ssh_options:
    description:
      - Further options as for C(ssh -o), such as C(ProxyJump=gate.example.org). Nix takes no spaces in them.
    type: list
    elements: str
    default: []
"""
