# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that reads JSON over HTTP."""

from __future__ import annotations


class ModuleDocFragment:
    """How an address is asked; module_utils/http_json has the same as an argument spec."""

    DOCUMENTATION = r"""
options:
  headers:
    description:
      - Headers to send, such as C(Authorization). A redirect is not followed, so they reach no other host.
    type: dict
    default: {}
  ca_file:
    description:
      - Path of a file with the certificates of authorities to trust in place of the system's.
    type: path
  http_timeout:
    description:
      - How many seconds an answer may take.
    type: float
    default: 10
"""
