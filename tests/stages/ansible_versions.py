# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The oldest ansible-core that the collection allows, on the oldest Python for it, and the newest one of both that can be had here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from commands import CACHE, CHECKOUT, capture, environment

# ansible-core 2.19, the oldest that meta/runtime.yml allows, runs on 3.11 to 3.13.
OLDEST_PYTHON = "3.11"
NEWER_PYTHONS = ("3.14", "3.13", "3.12")


def environments() -> Iterator[tuple[str, Path | None]]:
    """Each pair's name, and the programs of its virtual environment; None where its Python is missing or it could not be made."""
    oldest = _python(OLDEST_PYTHON)
    yield "oldest", oldest and _made("oldest", oldest, f"ansible-core=={least()}")
    newest = next(filter(None, map(_python, NEWER_PYTHONS)), None)
    yield "newest", newest and _made("newest", newest, "ansible-core")


def least() -> str:
    text = (CHECKOUT / "meta" / "runtime.yml").read_text(encoding="utf-8")
    found = re.search(r'requires_ansible: ">=([\d.]+)"', text)
    assert found, "meta/runtime.yml does not say which ansible-core is the oldest"
    return found[1]


def _python(version: str) -> Path | None:
    """One that really starts: version managers put shims on PATH that do not, and keep the programs elsewhere."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    named = shutil.which(f"python{version}", path=environment()["PATH"])
    for candidate in [*([Path(named)] if named else []), *kept]:
        code, _output = capture([str(candidate), "-c", "import ensurepip, ssl, venv"], environment())
        if code == 0:
            return candidate
    return None


def _made(name: str, python: Path, requirement: str) -> Path | None:
    """A virtual environment in the cache. The newest one is asked for anew each time."""
    folder = CACHE / "ansible" / name
    if not (folder / "bin" / "python").exists():
        subprocess.run([str(python), "-m", "venv", str(folder)], check=True, env=environment())
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", requirement]
    code, output = capture(install, environment())
    if code != 0:
        print(f"*** {requirement} for {python} could not be installed ***\n{output}", file=sys.stderr)
        return None
    return folder / "bin"
