# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A receiver that is killed before any of its steps on the file system: nothing wrong is in place, and the next run ends well."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import source, tree
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import StreamError
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.layouts import open_store
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.manifest import Manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.progress import Progress
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.protocol import Channel
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.receiver import receive
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.sender import send
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.timing import Deadline

EVERY = [pytest.param(1, marks=pytest.mark.long), 11]  # step; which one is hit is luck, as threads are at work
STEPS = (
    "chmod", "copy_file_range", "fchmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "open", "pwrite", "rename",
    "rmdir", "unlink", "utime",
)  # fmt: skip


def die_before(number: int) -> None:
    """Let the process be killed before its step of that number."""
    left = iter(range(number - 1))
    lock = threading.Lock()

    def before(step):
        def taken(*args, **kwargs):
            with lock:
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
            return step(*args, **kwargs)

        return taken

    for name in STEPS:
        setattr(os, name, before(getattr(os, name)))


def run_receiver(dest: Path, manifest: Manifest, end: socket.socket) -> None:
    store = open_store(manifest.layout, str(dest), manifest)
    store.prepare()
    lacking = store.lacking(remember=True)
    channel = Channel(end, "peer", 10, Deadline(20, "the transfer"))  # type: ignore[arg-type]
    if lacking:
        receive(channel, store, lacking, Progress())
    else:
        store.finish()
    store.close()


def transfer(src: Path, dest: Path, manifest: Manifest, kill: int) -> bool:
    """One transfer to a receiver that is another process; the answer is whether it lived."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        try:
            ours.close()
            die_before(kill)
            run_receiver(dest, manifest, theirs)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    theirs.close()
    channel = Channel(ours, "peer", 10, Deadline(20, "the transfer"))  # type: ignore[arg-type]
    try:
        send(channel, source.places(str(src), manifest), 0, Progress())
    except StreamError:
        pass  # killed, or nothing was lacking
    finally:
        channel.close()
    _pid, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL)
    return status == 0


def names(dest: Path) -> set[str]:
    """All names at and beside a destination, the number of a file of records left out."""
    return {str(path.relative_to(dest.parent)) for path in dest.parent.rglob("*")}


def grow_old(folder: Path) -> None:
    """As if the next run came tomorrow."""
    for path in folder.rglob("*"):
        os.utime(path, (path.lstat().st_atime, path.lstat().st_mtime - 86400), follow_symlinks=False)


def kills(src: Path, folder: Path, first: Path | None, manifest: Manifest, every: int) -> Iterator[Path]:
    """A destination for each step that a receiver may be killed before; at last one where it lives."""
    number, lived = 0, False
    while not lived:
        number += every
        dest = folder / str(number) / "dest"
        dest.parent.mkdir(parents=True)
        if first:
            transfer(first, dest, source.prepare(str(first), manifest.layout), 10**9)
        lived = transfer(src, dest, manifest, number)
        yield dest
    assert number > 30


@pytest.mark.parametrize("every", EVERY)
def test_before_any_step_of_an_image(make_image, noise, tmp_path, every):
    pieces = [noise(9_000) for _number in range(5)]
    cuts = dict.fromkeys(("initrd-00", "initrd-01"), 9_000)
    old = {"kernel": noise(2_000), "initrd-00": b"".join(pieces[:3])}
    new = {"kernel": noise(2_000), "initrd-00": b"".join(pieces[1:4]), "initrd-01": pieces[3] + pieces[4]}
    first, src = make_image(old, "old", cuts), make_image(new, "new", cuts)
    manifest = source.prepare(str(src), "image")
    whole = None
    for dest in list(kills(src, tmp_path / "kills", first, manifest, every))[::-1]:
        for path in (dest / "blobs/sha256").iterdir():
            assert tree.hash_file(str(path)) == path.name
        staged = dest / ".state/staging/0123abcd-new/manifest.json"
        if staged.exists():
            wanted = {file["sha256"] for file in json.loads(staged.read_text())["files"]}
            assert wanted <= set(os.listdir(dest / "blobs/sha256"))
        grow_old(dest / ".state")
        assert transfer(src, dest, manifest, 10**9)
        whole = whole or names(dest)
        assert names(dest) == whole
        assert staged.read_text() == manifest.text
        assert os.listdir(dest / ".state/parts") == []


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("every", EVERY)
def test_before_any_step_of_a_directory(noise, tmp_path, fresh, every):
    old, src = tmp_path / "old", tmp_path / "new"
    for folder, files in ((old, ("a", "b")), (src, ("b", "c", "d/e"))):
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(noise(2_000) if name != "b" else b"b" * 3_000)
    manifest = source.prepare(str(src), "directory")
    whole = None
    for dest in list(kills(src, tmp_path / "kills", None if fresh else old, manifest, every))[::-1]:
        aside = dest.parent / ".dest.stream/tree.old"  # between two renames, where the system cannot exchange
        found = content(dest if dest.exists() or not aside.exists() else aside) if not fresh or dest.exists() else {}
        assert found in ([{}, content(src)] if fresh else [content(old), content(src)])
        grow_old(dest.parent / ".dest.stream")
        assert transfer(src, dest, manifest, 10**9)
        assert content(dest) == content(src)
        whole = whole or names(dest)
        assert names(dest) == whole
