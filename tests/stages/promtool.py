# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus's promtool for the checks: the machine's own, or Debian's, unpacked once into the cache. Nothing is installed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from commands import CACHE, capture, environment

PACKAGE = "prometheus"


def provide() -> str:
    """The path of promtool, or an empty text and a word about why there is none."""
    tool = CACHE / "promtool"
    if found := shutil.which("promtool"):
        return found
    if tool.exists():
        return str(tool)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        for command in (["apt-get", "download", PACKAGE], ["sh", "-c", "dpkg-deb -x ./*.deb unpacked"]):
            code, output = capture(command, environment(), Path(folder))
            if code != 0:
                print(f"*** no promtool: {' '.join(command)} failed ***\n{output}", file=sys.stderr)
                return ""
        (Path(folder) / "unpacked/usr/bin/promtool").rename(tool)
    return str(tool)
