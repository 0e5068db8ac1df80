# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes many small files in one go, each only when it differs: a task for every file of every host would take a minute.

Reads from standard input: {"root": DIRECTORY, "files": [{"path", "content" or "from", "mode" (octal text)}]}.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any


def holds(path: Path, content: str, mode: int) -> bool:
    try:
        return path.read_bytes() == content.encode() and path.stat().st_mode & 0o7777 == mode
    except FileNotFoundError:
        return False


def write_file(path: Path, content: str, mode: int, owner: int = 0) -> bool:
    """True when the file had to be written. Readers see the old file or the whole new one."""
    if holds(path, content, mode):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
        output.write(content)
    part.chmod(mode)
    os.chown(part, owner, -1)
    part.rename(path)
    return True


def size(path: Path) -> int:
    return path.stat().st_size


def copy_directory(source: Path, target: Path) -> bool:
    """Make the target hold exactly the source's files, which never change once they have their name."""
    wanted = {path.name: path for path in source.iterdir() if path.is_file()}
    target.mkdir(parents=True, exist_ok=True)
    present = {path.name: path for path in target.iterdir()}
    surplus = present.keys() - wanted.keys()
    missing = {name for name in wanted if name not in present or size(wanted[name]) != size(present[name])}
    for name in surplus:
        present[name].unlink()
    for name in missing:
        part = target / f".{name}.part"
        shutil.copy2(wanted[name], part)
        part.rename(target / name)
    return bool(missing or surplus)


def write_one(root: Path, entry: dict[str, Any]) -> bool:
    path = root / entry["path"].lstrip("/")
    if "directory" in entry:
        return copy_directory(Path(entry["directory"]), path)
    content = entry["content"] if "content" in entry else Path(entry["from"]).read_text(encoding="utf-8")
    return write_file(path, content, int(entry.get("mode", "0644"), 8))


def write_files(root: Path, entries: list[dict[str, Any]]) -> list[str]:
    """The paths that were written."""
    return [entry["path"] for entry in entries if write_one(root, entry)]


def main() -> None:
    wanted = json.load(sys.stdin)
    written = write_files(Path(wanted["root"]), wanted["files"])
    print(json.dumps({"changed": bool(written), "written": written}))


if __name__ == "__main__":
    main()
