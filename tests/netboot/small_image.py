# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small image that says on the console what it is and switches off: Debian's kernel and busybox. And Debian 13's iPXE."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import CACHE
from newc import entry

INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "the image runs: $(/bin/busybox cat /proc/cmdline)"
/bin/busybox poweroff -f
"""


def unpacked(name: str, suite: str, packages: str) -> Path:
    """A root with Debian's packages, unpacked once into the cache."""
    root = CACHE / "roots" / name
    for program in ("mmdebstrap", "qemu-system-x86_64"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here")
    if not root.is_dir():
        root.parent.mkdir(parents=True, exist_ok=True)
        begun = root.with_name(f"{name}.begun")
        shutil.rmtree(begun, ignore_errors=True)
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=extract", f"--include={packages}", suite, str(begun)], check=True
        )
        begun.rename(root)
    return root


def debian_13_ipxe() -> Path:
    return unpacked("ipxe-trixie", "trixie", "ipxe") / "usr/lib/ipxe/ipxe.lkrn"


def put_image(root: Path, image_id: str) -> dict[str, Any]:
    """Put the image's blobs into a store; the answer is its manifest."""
    system = unpacked("small-image", "bookworm", "linux-image-cloud-amd64,busybox-static")
    program = stat.S_IFREG | 0o755
    busybox = next(path for name in ("bin", "usr/bin") if (path := system / name / "busybox").exists())
    parts = [entry(name, stat.S_IFDIR | 0o755, b"") for name in ("bin", "proc", "dev")]
    parts += [entry("bin/busybox", program, busybox.read_bytes()), entry("init", program, INIT.encode())]
    parts += [entry("TRAILER!!!", 0, b"")]
    contents = {"kernel": next(system.glob("boot/vmlinuz-*")).read_bytes(), "initrd-00-base": b"".join(parts)}
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    files = []
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        files.append({"name": name, "role": name.split("-", maxsplit=1)[0], "size": len(content), "sha256": digest})
    return {
        "schema": 1,
        "image_id": image_id,
        "system": "x86_64-linux",
        "kernel_params": ["console=ttyS0", "panic=-1", "quiet"],
        "files": files,
    }
