# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a playbook shows its operator: the messages of its tasks, which are to fit a terminal of 80 columns."""

from __future__ import annotations

import re

COLUMNS = 80
# A path, a URL or a command to copy is not broken; what stands beside it is to be short.
BESIDE_A_LONG_WORD = 24


def messages(stdout: str) -> list[str]:
    """The lines of all messages of tasks that went well, as Ansible's YAML output shows them."""
    found: list[str] = []
    inside, failed = -1, False
    for line in stdout.splitlines():
        begin = re.match(r"^( +)msg:", line)
        if line.startswith(("fatal:", "[ERROR]", "failed:")):
            failed = True
        elif line.startswith(("ok:", "changed:", "TASK", "PLAY")):
            failed = False
        if begin and not failed:
            inside = len(begin[1])
            found.append(line)
        elif inside >= 0 and line.startswith(" " * (inside + 1)):
            found.append(line)
        else:
            inside = -1
    return found


def too_wide(stdout: str) -> list[str]:
    """Those lines that would be broken by a terminal, though there is a place where they could have been."""
    return [
        line for line in messages(stdout) if len(line) > COLUMNS and len(line) - _longest(line) > BESIDE_A_LONG_WORD
    ]


def _longest(line: str) -> int:
    return max(len(word) for word in line.split())
