# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception of this room: its text is what the operator reads."""

from __future__ import annotations


class NetbootError(Exception):
    """Something that stops a release, said with what failed, where, and what can be done."""
