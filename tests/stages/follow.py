# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command whose output is shown as it comes and kept, so that results can be read from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def follow(command: list[str], env: dict[str, str], cwd: Path) -> tuple[int, str]:
    """Returns the exit code and both outputs, as one text."""
    lines = []
    with subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
    return process.returncode, "".join(lines)
