# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Nix for the checks: Debian's, unpacked once into the cache and run from there by its own loader, as any user.

Nothing is installed and the machine's /nix is not touched.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from commands import CACHE, capture, environment

# Debian 12 has Nix 2.8, Debian 13 has 2.26, and the one to come had 2.34 when this was written.
OLDEST = "bookworm"
NEWER = "trixie"
NEWEST = "forky"
# The release to come is signed for a week at a time; a mirror that stands still keeps an older one, as well signed.
STANDING = '--aptopt=Acquire::Check-Valid-Until "false"'
PROGRAMS = ("nix", "nix-build", "nix-store", "nix-instantiate", "nix-copy-closure", "build-remote")
# What the tests of images want beside Nix.
PACKAGES = "nix-bin,busybox-static,cpio,squashfs-tools"


def provide(suite: str = OLDEST) -> Path | None:
    """The root with that release's Nix, or None and a word about what is missing."""
    root = CACHE / "nix" / suite
    made_of = root.with_name(f"{suite}.packages")
    if root.is_dir() and made_of.exists() and made_of.read_text(encoding="utf-8") == PACKAGES:
        return root
    if not shutil.which("mmdebstrap"):
        print("*** no mmdebstrap to unpack a Nix with: apt-get install mmdebstrap ***", file=sys.stderr)
        return None
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    # Its name and the note of its packages come last: a root that has both is whole.
    begun = root.with_name(f"{suite}.begun")
    shutil.rmtree(begun, ignore_errors=True)
    options = ["--quiet", "--variant=extract", f"--include={PACKAGES}", *([STANDING] if suite == NEWEST else [])]
    command = ["mmdebstrap", *options, suite, str(begun)]
    code, output = capture(command, environment())
    if code != 0:
        print(f"*** mmdebstrap could not unpack a Nix ***\n{output}", file=sys.stderr)
        return None
    begun.rename(root)
    made_of.write_text(PACKAGES, encoding="utf-8")
    return root


def on_path(root: Path) -> Path:
    """A folder with Nix's programs as scripts, for what looks for them on PATH."""
    folder = root.with_name(f"{root.name}.programs")
    folder.mkdir(exist_ok=True)
    for name in PROGRAMS:
        script = folder / name
        # What was started by a link to it goes by the link's name, as Nix does.
        command = shlex.join(program(root, name)).replace(f" --argv0 {name} ", ' --argv0 "${0##*/}" ', 1)
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return folder


def program(root: Path, name: str, binary: str = "usr/bin/nix") -> list[str]:
    """The command that runs a program from a root, without entering it; without more, one of Nix's, which are all one file."""
    loader = next(path for pattern in ("usr/lib64/ld-linux*", "lib64/ld-linux*") for path in root.glob(pattern))
    folders = ("lib/*-linux-gnu", "usr/lib/*-linux-gnu", "usr/lib/nix")
    libraries = ":".join(str(path) for pattern in folders for path in root.glob(pattern))
    return [str(loader), "--argv0", name, "--library-path", libraries, str(root / binary)]
