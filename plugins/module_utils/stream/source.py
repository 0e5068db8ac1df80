# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory that is sent: what it holds, and where each contents is read from."""

from __future__ import annotations

import os
import stat

from . import limits, tree
from .errors import StreamError
from .manifest import Manifest, read_image

MANIFEST_NAME = "manifest.json"


def prepare(src: str, layout: str) -> Manifest:
    """The manifest of a directory on this host, with every file looked at."""
    root = os.path.realpath(src)
    if not os.path.isdir(root):
        raise StreamError(f"src: {src} is not a directory on this host")
    if layout == "directory":
        return tree.read_tree(tree.describe(root))
    manifest = read_image(_read_manifest(root, src))
    for entry in manifest.entries:
        _check_file(root, entry.name, entry.size)
    return manifest


def places(src: str, manifest: Manifest) -> dict[str, tuple[str, int]]:
    """Path and size by digest."""
    root = os.path.realpath(src)
    return {digest: (os.path.join(root, entry.name), entry.size) for digest, entry in manifest.contents().items()}


def open_file(path: str, size: int) -> int:
    """Open a file to be sent; one that is not what the manifest says is not begun."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as problem:
        raise StreamError(f"{path} cannot be read: {problem.strerror}") from problem
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        os.close(descriptor)
        raise StreamError(f"{path} is no longer the file of {size} bytes that the manifest was made of")
    return descriptor


def _read_manifest(root: str, src: str) -> str:
    path = os.path.join(root, MANIFEST_NAME)
    try:
        with open(path, "rb") as stream:
            content = stream.read(limits.MAX_MANIFEST + 1)
        return content.decode("utf-8")
    except FileNotFoundError as problem:
        raise StreamError(
            f"{os.path.join(src, MANIFEST_NAME)} does not exist, so {src} is not an image directory. "
            "Give the output of an image build as src, or say layout: directory to stream any directory"
        ) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise StreamError(f"{path} cannot be read: {problem}") from problem


def _check_file(root: str, name: str, size: int) -> None:
    path = os.path.join(root, name)
    try:
        status = os.lstat(path)
    except OSError as problem:
        raise StreamError(f"{path} stands in the manifest and cannot be read: {problem.strerror}") from problem
    if not stat.S_ISREG(status.st_mode):
        raise StreamError(f"{path} is not a plain file; links and special files do not travel")
    if status.st_size != size:
        raise StreamError(
            f"{path} has {status.st_size} bytes, its manifest says {size}. Build the image again; nothing was sent"
        )
