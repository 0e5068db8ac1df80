# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that several modules share, once."""

from __future__ import annotations

from typing import Any

from .switch import Writer

ROOT: dict[str, Any] = {"root": {"type": "path", "required": True}}
WRITER: dict[str, Any] = {
    **ROOT,
    "lock_timeout": {"type": "float", "default": 60},
    "break_lock": {"type": "str"},
    "operator": {"type": "str"},
}


def store_root(params: dict[str, Any]) -> str:
    """The root without a slash at its end."""
    return str(params["root"]).rstrip("/") or "/"


def writer_of(params: dict[str, Any], check_mode: bool) -> Writer:
    """Who writes where."""
    return Writer(store_root(params), check_mode, params["lock_timeout"], params["break_lock"], params["operator"])
