# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that works on the store of releases below a web root."""

from __future__ import annotations


class ModuleDocFragment:
    """The store itself, and the lock that writers take."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - Directory on the host that the web server serves. It must exist.
    type: path
    required: true
"""

    WRITER = r"""
options:
  lock_timeout:
    description:
      - Seconds to wait for another writer to end.
    type: float
    default: 60
  break_lock:
    description:
      - Id of a lock that another machine left on the store, as the error that names it says. It is taken away, if the store
        is still locked by that very lock.
      - Make sure that its owner does not write any more. A writer that goes on nevertheless finds its lock gone before it
        turns a link or removes anything, and stops.
      - A writer that was killed on this machine stops nobody; its lock needs no breaking.
    type: str
  operator:
    description:
      - Who does this, for the history and the status page.
      - By default the login on the managed host, which is the same for everybody who connects as C(root).
    type: str
"""
