# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus and its promtool for the checks: the machine's own, or Debian's, unpacked once into the cache. Nothing is installed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from commands import CACHE, capture, environment

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")


def provide() -> dict[str, str]:
    """The path of each program, or an empty text and a word about why there is none."""
    found = {program: shutil.which(program) or _cached(program) for program in PROGRAMS}
    return found if all(found.values()) or not _unpack() else {program: _cached(program) for program in PROGRAMS}


def _cached(program: str) -> str:
    path = CACHE / program
    return str(path) if path.exists() else ""


def _unpack() -> bool:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        for command in (["apt-get", "download", PACKAGE], ["sh", "-c", "dpkg-deb -x ./*.deb unpacked"]):
            code, output = capture(command, environment(), Path(folder))
            if code != 0:
                print(f"*** no Prometheus: {' '.join(command)} failed ***\n{output}", file=sys.stderr)
                return False
        for program in PROGRAMS:
            (Path(folder) / "unpacked/usr/bin" / program).rename(CACHE / program)
    return True
