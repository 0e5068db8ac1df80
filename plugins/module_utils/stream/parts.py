# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on their way: what has arrived is hashed, written, and can be continued after any interruption.

FOLDER/<digest> holds what has arrived of a file. FOLDER/<digest>.journal remembers, every few megabytes, the digest of
everything up to there; after an interruption the part is good up to the last line that still holds. A part in use is locked;
a second transfer of the same contents uses a part of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from typing import Any

from . import limits
from .errors import StreamError
from .manifest import Entry

PART_NAME = re.compile(r"([0-9a-f]{64})(-[0-9a-f]{16})?")
MARK = re.compile(r"([0-9]{1,15}) ([0-9a-f]{64})")


class Part:
    """One file on its way, open and locked. Not to be used from two threads at once."""

    def __init__(self, folder: str, entry: Entry) -> None:
        self.entry = entry
        self.descriptor, self.path = _open_locked(folder, entry.sha256)
        self.inode = os.fstat(self.descriptor).st_ino
        self._journal_path = self.path + ".journal"
        self._digest = hashlib.sha256()
        self.length = 0
        self.flushed = 0  # how much of it whoever writes has asked to flush
        self._marked = 0
        self._resume()

    def write(self, view: memoryview) -> None:
        """Take the next bytes."""
        if self.length + len(view) > self.entry.size:
            raise StreamError(f"more than the {self.entry.size} bytes of {self.entry.name} arrived")
        self._digest.update(view)
        while view:
            count = os.pwrite(self.descriptor, view, self.length)
            self.length += count
            view = view[count:]
        self._mark_in_time()

    def borrow(self, donor: int, offset: int, view: memoryview) -> int:
        """Take as many next bytes as the view holds from another file; the answer is how many came, 0 at its end.

        The kernel copies them, or shares their blocks where the file system can; what is hashed is read from the part itself.
        """
        wanted = min(len(view), self.entry.size - self.length)
        try:
            count = os.copy_file_range(donor, self.descriptor, wanted, offset, self.length)
        except (AttributeError, OSError):  # not Linux, another file system, or a full disk: writing tells
            count = os.preadv(donor, [view[:wanted]], offset)
            self.write(view[:count])
            return count
        if count:
            self._take_in(view[:count])
        return count

    def verify(self, borrowed_from: str = "") -> None:
        """Refuse and remove what is not the contents that were announced. borrowed_from: files here that lent some of it."""
        found = self._digest.hexdigest()
        if self.length == self.entry.size and found == self.entry.sha256:
            return
        self.discard()
        remedy = (
            f"Pieces of it that were borrowed from {borrowed_from} here were damaged: run again, they will be fetched"
            if borrowed_from
            else "The file on the source does not match its manifest, or was changed in the meantime: build the image again"
        )
        raise StreamError(
            f"{self.entry.name} arrived as {self.length} bytes with SHA-256 {found}, its manifest says "
            f"{self.entry.size} bytes with {self.entry.sha256}. {remedy}. Nothing of it was kept"
        )

    def flush(self) -> None:
        """Bring what was written to the disk."""
        os.fdatasync(self.descriptor)

    def settle(self, path: str, mode: int) -> None:
        """Give the verified file its final name and mode; the caller flushes the directory."""
        os.fchmod(self.descriptor, mode)
        os.fsync(self.descriptor)
        os.rename(self.path, path)
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._journal_path)

    def discard(self) -> None:
        """Leave nothing."""
        for path in (self._journal_path, self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self.close()

    def close(self) -> None:
        """Keep what there is for another time."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _take_in(self, view: memoryview) -> None:
        """Hash what the kernel has put behind the end."""
        if os.preadv(self.descriptor, [view], self.length) != len(view):
            raise StreamError(f"{self.path} was made shorter while it was written; nobody else may write there")
        self._digest.update(view)
        self.length += len(view)
        self._mark_in_time()

    def _mark_in_time(self) -> None:
        if self.length - self._marked >= limits.MARK_STEP:
            self._mark()

    def _mark(self) -> None:
        with open(self._journal_path, "a", encoding="ascii") as journal:
            journal.write(f"{self.length} {self._digest.hexdigest()}\n")
        self._marked = self.length

    def _resume(self) -> None:
        """Go on after the longest beginning that is proved to be as it was written."""
        size = min(os.fstat(self.descriptor).st_size, self.entry.size)
        if size:
            marks = self._read_marks(size)
            good = self._last_good(marks, size)
            self._digest, self.length = good
            self._marked = self.length
            with open(self._journal_path, "w", encoding="ascii") as journal:
                journal.writelines(f"{length} {digest}\n" for length, digest in marks if length <= self.length)
        os.ftruncate(self.descriptor, self.length)

    def _read_marks(self, size: int) -> list[tuple[int, str]]:
        """The journal's lines; where it ends in the middle of one, that line does not count."""
        marks: list[tuple[int, str]] = []
        with (
            contextlib.suppress(FileNotFoundError),
            open(self._journal_path, encoding="ascii", errors="replace") as lines,
        ):
            for line in lines:
                found = MARK.fullmatch(line.strip())
                if not found or int(found[1]) > size or (marks and int(found[1]) <= marks[-1][0]):
                    break
                marks.append((int(found[1]), found[2]))
        return marks

    def _last_good(self, marks: list[tuple[int, str]], size: int) -> tuple[Any, int]:
        digest, position = hashlib.sha256(), 0
        good: tuple[Any, int] = (digest.copy(), 0)
        view = memoryview(bytearray(limits.CHUNK))
        whole = [(size, self.entry.sha256)] if size == self.entry.size else []
        for target, expected in marks + whole:
            while position < target:
                count = os.preadv(self.descriptor, [view[: min(len(view), target - position)]], position)
                if not count:
                    return good
                digest.update(view[:count])
                position += count
            if digest.hexdigest() != expected:
                return good
            good = (digest.copy(), position)
        return good


def interrupted(folder: str) -> dict[str, int]:
    """Sizes of the parts that an earlier transfer left, by digest."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for item in found:
            name = PART_NAME.fullmatch(item.name)
            if name and not name[2]:
                with contextlib.suppress(FileNotFoundError):
                    sizes[name[1]] = item.stat(follow_symlinks=False).st_size
    return sizes


def sweep(folder: str, wanted: set[str]) -> None:
    """Remove the parts that nobody writes and no transfer is likely to go on with, and journals without a part.

    A part of other contents is kept for a while: two images that are sent in turn must not cost each other their progress.
    """
    with os.scandir(folder) as found:
        names = sorted(item.name for item in found)
    for name in names:
        part = PART_NAME.fullmatch(name)
        path = os.path.join(folder, name)
        if part and (part[2] or (part[1] not in wanted and _is_old(path))):
            _remove_unused(path)
        elif name.endswith(".journal") and name[: -len(".journal")] not in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def sweep_scratch(folder: str) -> None:
    """Remove what a killed process was about to give a name: hidden files, and hidden directories of one file."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for item in list(found):
            if item.name.startswith(".") and _is_old(item.path, limits.SCRATCH_SECONDS):
                with contextlib.suppress(FileNotFoundError):  # another transfer does the same
                    shutil.rmtree(item.path) if item.is_dir(follow_symlinks=False) else os.unlink(item.path)


def _is_old(path: str, seconds: float = limits.PART_SECONDS) -> bool:
    try:
        return time.time() - os.lstat(path).st_mtime > seconds
    except FileNotFoundError:
        return False


def _remove_unused(path: str) -> None:
    """Remove a part unless a transfer holds it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in (path + ".journal", path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
        finally:
            os.close(descriptor)


def _open_locked(folder: str, digest: str) -> tuple[int, str]:
    """The part of these contents, or one beside it when another transfer holds it."""
    path = os.path.join(folder, digest)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor, path
        except BlockingIOError:
            path = os.path.join(folder, f"{digest}-{os.urandom(8).hex()}")
        except FileNotFoundError:
            pass  # swept away between the two calls: once more
        os.close(descriptor)
