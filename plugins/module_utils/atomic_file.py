# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and links that another program sees whole or not at all, and that survive a power cut.

Each function ends with what it made on the disk: contents are flushed before the name changes, the directory after it.
Modes are set explicitly, so that a umask of 077 does not hide from a web server what it must serve.
"""

from __future__ import annotations

import contextlib
import os
import tempfile


def sync_directory(path: str) -> None:
    """Flush a directory: a new or changed name in it is lost in a power cut until this is done."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: str) -> None:
    """Flush the contents of one file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: str, mode: int = 0o755) -> bool:
    """Make a directory and its missing parents, flushed. True when something was made."""
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(os.path.abspath(path))
    make_directories(parent, mode)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return False
    os.chmod(path, mode)
    sync_directory(parent)
    return True


def write_new(path: str, content: bytes, mode: int = 0o644) -> None:
    """Write and flush a file that no reader knows yet. The caller flushes its directory."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fchmod(stream.fileno(), mode)
        os.fsync(stream.fileno())


def rename(source: str, destination: str) -> None:
    """Put a flushed file, link or directory under its final name with rename(2)."""
    os.rename(source, destination)
    sync_directory(os.path.dirname(os.path.abspath(destination)))


def write_atomic(path: str, content: bytes, mode: int = 0o644, scratch: str | None = None) -> None:
    """Replace a file: a reader sees the old contents or the new ones, also after a crash.

    It is made in the directory scratch (default: beside the path), which must be on the same file system.
    """
    directory, name = os.path.split(os.path.abspath(path))
    folder = tempfile.mkdtemp(prefix=f".{name}.", dir=scratch or directory)
    temporary = os.path.join(folder, name)
    try:
        write_new(temporary, content, mode)
        rename(temporary, path)
    finally:
        _discard(temporary, folder)


def replace_symlink(path: str, target: str, scratch: str | None = None) -> None:
    """Make or turn a symbolic link with one rename(2), so that it never does not exist.

    The link is made in the directory scratch (default: beside the path), which must be on the same file system.
    """
    directory, name = os.path.split(os.path.abspath(path))
    folder = tempfile.mkdtemp(prefix=f".{name}.", dir=scratch or directory)
    temporary = os.path.join(folder, name)
    try:
        os.symlink(target, temporary)
        sync_directory(folder)
        rename(temporary, path)
    finally:
        _discard(temporary, folder)


def append_line(path: str, line: bytes, mode: int = 0o644) -> None:
    """Append one line, flushed. A line that a crash cut short is ended first and spoils no other.

    One write(2) takes it, unless the file system is just about full: then that writes a part, and the next says why.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        left = (b"\n" if torn else b"") + line.rstrip(b"\n") + b"\n"
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(os.path.dirname(os.path.abspath(path)))


def _discard(temporary: str, folder: str) -> None:
    """Remove what a failed replacement left."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.rmdir(folder)
