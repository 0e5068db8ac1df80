# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of the collection says of itself: check mode, diff, idempotence, facts, action group."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes whose support each module states for itself, and sections for the usual answers."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled by the module has not changed in a relevant way.
  platform:
    description: The operating systems that the module runs on.
    platforms: posix
    support: full
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module does not modify state.
  diff_mode:
    support: N/A
    details:
      - This module does not modify state.
  idempotent:
    support: full
    details:
      - This module does not modify state.
"""

    # For modules that speak with the Equinix Metal API.
    ACTION_GROUP_METAL = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/nixmetal.builders.metal) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - nixmetal.builders.metal
"""

    # For action plugins.
    ACTION = r"""
options: {}
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
  async:
    description: Supports being used with the C(async) keyword.
"""
