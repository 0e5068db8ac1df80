# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is carried: an image of incompressible store paths, and its next release, in which one path in twenty is another."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

MEGABYTE = 1_000_000
KERNEL_MEGABYTES = 10
PATHS_PER_FILE = 50


def make_paths(folder: Path, megabytes: int, path_bytes: int) -> list[Path]:
    """The store paths: files of random bytes."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(round(megabytes * MEGABYTE / path_bytes)):
        path = folder / f"path-{number:04d}"
        path.write_bytes(os.urandom(path_bytes))
        paths.append(path)
    return paths


def change(folder: Path, one_in: int) -> int:
    """Replace one path in so many by another; the answer is their bytes."""
    changed = 0
    for number, path in enumerate(sorted(folder.iterdir())):
        if number % one_in == one_in // 2:
            size = path.stat().st_size
            path.write_bytes(os.urandom(size))
            changed += size
    return changed


def make_image(folder: Path, paths: list[Path], kernel: bytes, name: str) -> None:
    """An image directory of a kernel and initrds of many paths each, whose manifest knows the paths as pieces."""
    folder.mkdir(parents=True)
    (folder / "kernel").write_bytes(kernel)
    files: list[dict[str, Any]] = [_entry("kernel", "kernel", [kernel])]
    for number, start in enumerate(range(0, len(paths), PATHS_PER_FILE)):
        file = f"initrd-{number:02d}"
        parts = [path.read_bytes() for path in paths[start : start + PATHS_PER_FILE]]
        (folder / file).write_bytes(b"".join(parts))
        files.append(_entry(file, "initrd", parts))
    manifest = {"schema": 1, "image_id": name, "system": "x86_64-linux", "kernel_params": [], "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _entry(name: str, role: str, parts: list[bytes]) -> dict[str, Any]:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return {
        "name": name,
        "role": role,
        "size": sum(map(len, parts)),
        "sha256": whole.hexdigest(),
        "pieces": [{"size": len(part), "sha256": hashlib.sha256(part).hexdigest()} for part in parts],
    }
