# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destination of a plain directory: built beside the old one, then put in its place with one rename.

PARENT/.NAME.stream/parts/      files on their way
PARENT/.NAME.stream/objects/    files that arrived, by digest, until the directory is whole
PARENT/.NAME.stream/tree/       the new directory while it is put together
PARENT/.NAME.stream/known.json  digests of the files in place, so that the next transfer need not read them
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import stat
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils import atomic_file
from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import fingerprint

from . import parts, tree
from .blob_store import Donor
from .errors import StreamError
from .manifest import Entry, Manifest


class Survey(NamedTuple):
    """What stands at the destination: digest and mode of files (no digest: not needed), mode of directories."""

    files: dict[str, tuple[str, int]]
    folders: dict[str, int]
    seen: dict[str, str]  # fingerprints of the files, as they were when their digest was known


class Origin(NamedTuple):
    """A file on this host that has the contents of one of the manifest's."""

    path: str
    mode: int
    may_link: bool
    seen: str = ""


class TreeStore:
    """One directory that is replaced as a whole, seen by one transfer."""

    def __init__(self, dest: str, manifest: Manifest) -> None:
        self.dest = os.path.abspath(dest)
        self._manifest = manifest
        parent, name = os.path.split(self.dest)
        if parent == "/" or not name:
            raise StreamError(f"dest: {dest} would be replaced as a whole; give a directory further down")
        if os.path.islink(self.dest) or (os.path.exists(self.dest) and not os.path.isdir(self.dest)):
            raise StreamError(f"dest: {dest} is not a directory; remove it or give another dest")
        self._work = os.path.join(parent, f".{name}.stream")
        self.parts = os.path.join(self._work, "parts")
        self._objects = os.path.join(self._work, "objects")
        self._fresh = os.path.join(self._work, "tree")
        self._known_path = os.path.join(self._work, "known.json")
        self._survey: Survey | None = None
        self._lock = -1

    def lacking(self, remember: bool) -> list[Entry]:
        """What has to travel: contents that stand neither in the old directory nor among what arrived before."""
        self._survey = self._look(remember)
        here = {digest for digest, _mode in self._survey.files.values()}
        return [
            entry
            for entry in self._manifest.contents().values()
            if entry.sha256 not in here and not self._arrived(entry)
        ]

    def prepare(self) -> None:
        """Make the working directory, for this transfer alone."""
        atomic_file.make_directories(os.path.dirname(self._work))
        for path in (self._work, self.parts, self._objects):
            atomic_file.make_directories(path, 0o700)
        self._lock = os.open(self._work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            self.close()
            raise StreamError(f"another transfer to {self.dest} is under way; wait for its end") from problem
        parts.sweep_scratch(self._work)
        self._recover()

    def close(self) -> None:
        """Let the next transfer begin."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def donors(self, lacking: list[Entry]) -> dict[str, Donor]:
        """Plain directories have no pieces."""
        del lacking
        return {}

    def distrust(self, digest: str) -> None:
        """Nothing is borrowed, so there is nothing to distrust."""

    def place(self, entry: Entry) -> tuple[str, int]:
        """Path and mode of contents until the directory is whole."""
        return os.path.join(self._objects, entry.sha256), 0o600

    def arrived(self, entry: Entry) -> None:
        """Nothing to note: the name says it."""

    def is_finished(self) -> bool:
        """Whether the directory already is what the manifest says."""
        survey = self._survey or self._look(remember=False)
        files = {entry.name: (entry.sha256, entry.mode) for entry in self._manifest.entries}
        return os.path.isdir(self.dest) and survey.files == files and survey.folders == dict(self._manifest.directories)

    def finish(self) -> bool:
        """Put the new directory together and in place. True when that changed something."""
        if self.is_finished():
            self._tidy()
            return False
        self._build(self._fresh)
        atomic_file.sync_directory(self._objects)
        _replace(self._fresh, self.dest)
        atomic_file.sync_directory(os.path.dirname(self.dest))
        self._tidy()
        self._write_known({entry.name: entry.sha256 for entry in self._manifest.entries})
        return True

    def _recover(self) -> None:
        """Put the old directory back where an earlier transfer was killed between its two renames.

        What that one had built is removed before anything is looked at: it shares files, whose change time that alters.
        """
        aside = self._fresh + ".old"
        if os.path.isdir(aside) and not os.path.lexists(self.dest):
            atomic_file.rename(aside, self.dest)
        for path in (self._fresh, aside):
            shutil.rmtree(path, ignore_errors=True)

    def _tidy(self) -> None:
        """Everything that arrived is in place: what was needed on the way, or stood there before, is not any more."""
        for path in (self._objects, self.parts, self._fresh, self._fresh + ".old"):
            shutil.rmtree(path, ignore_errors=True)

    def _arrived(self, entry: Entry) -> bool:
        try:
            return os.lstat(self.place(entry)[0]).st_size == entry.size
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _look(self, remember: bool) -> Survey:
        survey = Survey({}, {}, {})
        if not os.path.isdir(self.dest):
            return survey
        sizes = {entry.size for entry in self._manifest.entries}
        known = self._read_known()
        for name, status in tree.walk(self.dest):
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                survey.folders[name] = mode
            elif stat.S_ISREG(status.st_mode) and status.st_size in sizes:
                digest = known.get((name, fingerprint(status))) or tree.hash_file(os.path.join(self.dest, name))
                survey.files[name] = (digest, mode)
                survey.seen[name] = fingerprint(status)
            else:
                survey.files[name] = ("", mode)
        if remember and os.path.isdir(self._work):
            self._write_known({name: digest for name, (digest, _mode) in survey.files.items() if digest})
        return survey

    def _read_known(self) -> dict[tuple[str, str], str]:
        try:
            with open(self._known_path, encoding="utf-8") as stream:
                return {(name, seen): digest for name, (seen, digest) in json.load(stream).items()}
        except (OSError, ValueError):
            return {}

    def _write_known(self, digests: dict[str, str]) -> None:
        known = {
            name: (fingerprint(os.lstat(os.path.join(self.dest, name))), digest) for name, digest in digests.items()
        }
        atomic_file.write_atomic(self._known_path, json.dumps(known).encode("utf-8"), 0o600)

    def _build(self, fresh: str) -> None:
        os.mkdir(fresh, 0o700)
        for name, _mode in self._manifest.directories:
            os.mkdir(os.path.join(fresh, name), 0o700)
        origins = self._origins()
        for entry in self._manifest.entries:
            target = os.path.join(fresh, entry.name)
            _put(origins[entry.sha256], target, entry.mode)
            origins[entry.sha256] = Origin(target, entry.mode, may_link=False)  # a second file is a copy, not a link
        for name, mode in reversed(self._manifest.directories):
            path = os.path.join(fresh, name)
            atomic_file.sync_directory(path)
            os.chmod(path, mode)
        atomic_file.sync_directory(fresh)
        os.chmod(fresh, stat.S_IMODE(os.stat(self.dest).st_mode) if os.path.isdir(self.dest) else 0o755)

    def _origins(self) -> dict[str, Origin]:
        """Where contents are. A file of the old directory may stand in the new one too: the old one goes away."""
        found: dict[str, Origin] = {}
        survey = self._survey or self._look(remember=False)
        for name, (digest, mode) in survey.files.items():
            found[digest] = Origin(os.path.join(self.dest, name), mode, may_link=True, seen=survey.seen.get(name, ""))
        for entry in self._manifest.contents().values():
            if self._arrived(entry):
                found[entry.sha256] = Origin(self.place(entry)[0], entry.mode, may_link=True)
        return found


def _put(origin: Origin, target: str, mode: int) -> None:
    """Make a file of the new directory, without copying where the modes agree."""
    if origin.seen and fingerprint(os.lstat(origin.path)) != origin.seen:
        raise StreamError(f"{origin.path} was changed during the transfer; run again when nobody writes there")
    linked = False
    if origin.may_link and origin.mode == mode:
        with contextlib.suppress(OSError):  # too many links, or not ours to link
            os.link(origin.path, target)
            linked = True
    if not linked:
        shutil.copyfile(origin.path, target)
        atomic_file.sync_file(target)
    os.chmod(target, mode)


def _replace(fresh: str, dest: str) -> None:
    """Put a directory where another may be; the old one takes its place (renameat2 with RENAME_EXCHANGE)."""
    if not os.path.isdir(dest):
        os.rename(fresh, dest)
        return
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_cwd, flag = -100, 2
    if exchange and exchange(at_cwd, os.fsencode(fresh), at_cwd, os.fsencode(dest), flag) == 0:
        return
    aside = fresh + ".old"  # a system or file system without exchange: two renames
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(dest, aside)
    try:
        os.rename(fresh, dest)
    except OSError:
        os.rename(aside, dest)
        raise
    with contextlib.suppress(OSError):
        os.rename(aside, fresh)
