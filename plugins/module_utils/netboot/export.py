# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release as a plain directory of files with their own names, for any web server, a USB stick or a bucket.

The form is that of an image directory, so it can be streamed and published again. Its script names the files beside it and
has the channel's kernel parameters; what a channel's link does (one release for ever) it cannot.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import (
    make_directories,
    rename,
    sync_directory,
    write_new,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import blob_path

from .blobs import check_blobs, refuse_missing
from .errors import NetbootError
from .manifest import ImageFile, canonical
from .releases import MANIFEST_NAME, Release
from .script import SCRIPT_NAME

CHUNK = 1 << 20


class Exported(NamedTuple):
    """Where the release is now, and whether it was there already."""

    dest: str
    bytes: int
    changed: bool


def export(root: str, release: Release, dest: str, dry_run: bool) -> Exported:
    """Copy the release to a directory that comes to be at once and whole; one that holds it already is left alone."""
    dest = os.path.abspath(dest)
    files = _texts(release)
    if os.path.lexists(dest):
        _refuse_another(dest, release, files)
        return Exported(dest, release.manifest.size, False)
    refuse_missing(root, check_blobs(root, release.manifest, remember=False))
    if not dry_run:
        _write(root, release, dest, files)
    return Exported(dest, release.manifest.size, True)


def _texts(release: Release) -> dict[str, bytes]:
    """The manifest of the image, and the script."""
    return {MANIFEST_NAME: canonical(release.manifest.document), SCRIPT_NAME: _plain_script(release)}


def _plain_script(release: Release) -> bytes:
    """As the image's own script, with the whole command line but for the address of the blobs: the segments are beside it.

    An iPXE before March 2024 does not know where it got the script from and loads them itself, as stage 1 expects them.
    """
    manifest = release.manifest
    initrds = "".join(f"initrd --name {file.name} {file.name}\n" for file in manifest.of_role("initrd"))
    segments = "".join(f"initrd {file.name} /segments/{file.name}\n" for file in manifest.of_role("segment"))
    words = [word for word in release.command_line.split(" ") if not word.startswith("nixmetal.blobs=")]
    begin = "isset ${cwuri} && set segments nixmetal.script=${cwuri} ||\n" if segments else ""
    line = " ".join(["${segments}", *words] if segments else words)
    load = f"isset ${{cwuri}} && goto boot ||\n{segments}:boot\n" if segments else ""
    if not release.command_line:
        raise NetbootError(
            f"the script of the release {release.release_id} names no kernel in a form that is known here: publish the image "
            "again with this version, and export that release; nothing was written."
        )
    kernel = f"kernel --name kernel {manifest.kernel.name} {line} ${{cmdline}}\n"
    return f"#!ipxe\n\n{begin}{kernel}{initrds}{load}boot\n".encode("ascii")


def _refuse_another(dest: str, release: Release, files: dict[str, bytes]) -> None:
    """Only a directory that holds exactly this release may be there."""
    wanted = {**{file.name: file.size for file in release.manifest.files}, **{n: len(c) for n, c in files.items()}}
    found = {}
    if os.path.isdir(dest) and not os.path.islink(dest):
        found = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in os.scandir(dest)}
    if found != wanted or any(
        _digest_of(os.path.join(dest, name)) != digest for name, digest in _digests(release, files)
    ):
        raise NetbootError(
            f"dest: {dest} is there already and is not the release {release.release_id}. Name another directory, or move "
            "that one away; nothing was written."
        )


def _digests(release: Release, files: dict[str, bytes]) -> list[tuple[str, str]]:
    own = [(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()]
    return own + [(file.name, file.sha256) for file in release.manifest.files]


def _write(root: str, release: Release, dest: str, files: dict[str, bytes]) -> None:
    parent = os.path.dirname(dest)
    make_directories(parent)
    draft = tempfile.mkdtemp(prefix=f".{os.path.basename(dest)}.", dir=parent)
    try:
        for name, content in files.items():
            write_new(os.path.join(draft, name), content)
        for file in release.manifest.files:
            _copy(blob_path(root, file.sha256), os.path.join(draft, file.name), file)
        os.chmod(draft, 0o755)  # noqa: S103 - a web server reads it
        sync_directory(draft)
        rename(draft, dest)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy(source: str, target: str, file: ImageFile) -> None:
    """A copy, not a hard link: whoever changes the exported file must not change the blob."""
    digest = hashlib.sha256()
    with open(source, "rb") as reader, open(target, "xb") as writer:
        for chunk in iter(lambda: reader.read(CHUNK), b""):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fchmod(writer.fileno(), 0o644)
        os.fsync(writer.fileno())
    if digest.hexdigest() != file.sha256:
        raise NetbootError(
            f"the blob of {file.name} is damaged: {source}. Stream the image again; nothing was exported."
        )


def _digest_of(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
