# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims: files that say whose something is.

A claim comes to be by link(2), which is atomic on every file system: one of several that try gets it, and it is whole from
its first moment. It is a JSON object with at least a lock_id, and it outlives the process that made it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import sync_directory, write_new

UNREADABLE = "unreadable"


def read_claim(path: str) -> dict[str, Any] | None:
    """Whose it is; None when it is nobody's. A file that is no claim is somebody's whose name is not known."""
    try:
        with open(path, "rb") as stream:
            text = stream.read()
    except FileNotFoundError:
        return None
    try:
        claim = json.loads(text)
    except ValueError:
        claim = None
    return claim if isinstance(claim, dict) and claim.get("lock_id") else {"lock_id": UNREADABLE}


def place_claim(path: str, claim: Mapping[str, Any], mode: int = 0o600) -> bool:
    """Put the claim in place, unless there is one."""
    draft = f"{path}.{claim['lock_id']}"
    write_new(draft, json.dumps(claim, sort_keys=True).encode("ascii") + b"\n", mode)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    sync_directory(os.path.dirname(draft))
    return True


def withdraw_claim(path: str, lock_id: str) -> bool:
    """Take the claim away if it is the one with this id."""
    claim = read_claim(path)
    if claim is None or claim.get("lock_id") != lock_id:
        return False
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return True
