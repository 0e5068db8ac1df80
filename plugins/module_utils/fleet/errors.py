# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the functions of this package raise: one error, whose text is meant for the operator."""

from __future__ import annotations


class FleetError(Exception):
    """A setting, a fact or a file is not as it must be."""
