# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plain directory as a manifest: made on the source, checked again on the destination."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import limits, manifest
from .errors import ManifestError, StreamError
from .manifest import Entry, Manifest


def describe(root: str) -> str:
    """The manifest of a directory. Its files are read once, several at a time; links and special files are refused."""
    directories: list[dict[str, Any]] = []
    files: list[tuple[str, os.stat_result]] = []
    strange: list[str] = []
    for name, status in walk(root):
        if stat.S_ISDIR(status.st_mode):
            directories.append({"name": name, "mode": stat.S_IMODE(status.st_mode) & 0o777})
        elif stat.S_ISREG(status.st_mode):
            files.append((name, status))
        else:
            strange.append(name)
    if strange:
        shown = ", ".join(repr(name) for name in strange[:5]) + (f" and {len(strange) - 5} more" if strange[5:] else "")
        raise StreamError(
            f"{root} holds links or special files: {shown}; only files and directories can travel. "
            "Replace them by what they point to, or stream another directory"
        )
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        entries = list(pool.map(lambda item: _describe_file(root, *item), files))
    document = {"schema": manifest.SCHEMA, "layout": "directory", "directories": directories, "files": entries}
    return json.dumps(document, separators=(",", ":"))


def read_tree(text: str) -> Manifest:
    """The manifest of a plain directory, checked."""
    document = manifest.load(text)
    if document.get("layout") != "directory":
        raise ManifestError("the manifest is not that of a plain directory")
    directories, files = document.get("directories"), document.get("files")
    if not isinstance(directories, list) or not isinstance(files, list):
        raise ManifestError("directories or files is not a list")
    folders = tuple(_folder(item, f"directories[{index}]") for index, item in enumerate(directories))
    entries = tuple(_entry(item, f"files[{index}]") for index, item in enumerate(files))
    found = Manifest("directory", "", entries, folders, text)
    manifest.check(found)
    _check_parents(found)
    return found


def hash_file(path: str, buffer: bytearray | None = None) -> str:
    """The SHA-256 of a file, read without following a link."""
    digest = hashlib.sha256()
    view = memoryview(buffer or bytearray(limits.CHUNK))
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while count := stream.readinto(view):
            digest.update(view[:count])
    return digest.hexdigest()


def walk(root: str, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Names below a directory, a directory before what it holds, in an order that does not depend on the disk."""
    with os.scandir(os.path.join(root, prefix)) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        name = prefix + item.name
        status = item.stat(follow_symlinks=False)
        yield name, status
        if stat.S_ISDIR(status.st_mode):
            yield from walk(root, name + "/")


def _describe_file(root: str, name: str, status: os.stat_result) -> dict[str, Any]:
    _check_name(name, root)
    digest = hash_file(os.path.join(root, name))
    return {"name": name, "size": status.st_size, "sha256": digest, "mode": stat.S_IMODE(status.st_mode) & 0o777}


def _check_name(value: object, where: str) -> str:
    """A relative path that stays below its directory."""
    if not isinstance(value, str) or not value:
        raise ManifestError(f"{where}: a name is missing")
    try:
        encoded = value.encode("utf-8")
    except UnicodeEncodeError as problem:
        raise ManifestError(f"{where}: the name {value!r} is not UTF-8") from problem
    parts = value.split("/")
    if any(part in ("", ".", "..") or len(part.encode("utf-8")) > 255 for part in parts):
        raise ManifestError(f"{where}: the name {value!r} is not a path below the directory")
    if "\0" in value or len(encoded) > 4000 or len(parts) > limits.MAX_DEPTH:
        raise ManifestError(f"{where}: the name {value[:100]!r} is too long, too deep or holds a zero byte")
    return value


def _mode(fields: dict[str, Any], where: str) -> int:
    mode = fields.get("mode")
    if not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777:
        raise ManifestError(f"{where}: mode {mode!r} is not one of permissions alone")
    return mode


def _folder(item: object, where: str) -> tuple[str, int]:
    fields = manifest.check_item(item, where)
    return _check_name(fields.get("name"), where), _mode(fields, where)


def _entry(item: object, where: str) -> Entry:
    fields = manifest.check_item(item, where)
    name = _check_name(fields.get("name"), where)
    size = manifest.check_size(fields.get("size"), f"{where} ({name})")
    digest = manifest.check_digest(fields.get("sha256"), f"{where} ({name})")
    return Entry(name, size, digest, _mode(fields, f"{where} ({name})"))


def _check_parents(found: Manifest) -> None:
    """Each directory stands before what it holds, once, and is not a file."""
    folders = {""}
    for name, _mode_of in found.directories:
        if name in folders:
            raise ManifestError(f"the directory {name} is named twice")
        if name.rpartition("/")[0] not in folders:
            raise ManifestError(f"the directory that holds {name} is not named before it")
        folders.add(name)
    for entry in found.entries:
        if entry.name in folders:
            raise ManifestError(f"{entry.name} is a file and a directory")
        if entry.name.rpartition("/")[0] not in folders:
            raise ManifestError(f"the directory that holds {entry.name} is not named")
