# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that the inventory keeps for itself, each with a mark of the settings that it was made under."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import write_atomic
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError


def save(path: str, mark: str, data: Any) -> None:
    """Keep data for later. They hold no secret, but say much of the fleet."""
    write(path, json.dumps({"mark": mark, "data": data}), 0o600)


def load(path: str, mark: str) -> Any:
    """What was kept under the same settings; None when there is none, or nothing that makes sense."""
    try:
        with open(path, encoding="utf-8") as stream:
            kept = json.load(stream)
        return kept["data"] if kept["mark"] == mark else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: str, text: str, mode: int) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_atomic(path, text.encode(), mode)
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror}.") from error
