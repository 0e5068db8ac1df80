# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What readers see while a writer works, and what is left when it is killed between any two of its steps."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import older, staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, publish, switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Store

SETTINGS = Settings("lab", "http://web", "relative", ())
STEPS = ("fsync", "rename", "symlink", "mkdir", "open", "write", "chmod", "rmdir", "unlink", "ftruncate")


def go_back(store: Store) -> bool:
    """One step back."""
    root = str(store.root)
    return switch(Writer(root, False, 30, by="ann@desk"), "lab", older(root, "lab", "previous")).changed


def do(store: Store, image_id: str) -> bool:
    root = str(store.root)
    return publish(root, staged_manifest(root, image_id), SETTINGS, False, 30).changed


def seen(store: Store) -> str | None:
    """The image that a machine would boot, if what it fetches is whole; it reads the link once, as nginx opens a file."""
    try:
        script = (store.root / "lab" / "netboot.ipxe").read_text()
    except FileNotFoundError:
        return None
    release = re.search("^echo nixmetal: release ([0-9a-f]{32})$", script, re.MULTILINE)
    image = re.search("^echo nixmetal: image (.+)$", script, re.MULTILINE)
    assert release
    assert image
    manifest = store.root / "releases" / "lab" / release[1] / "manifest.json"
    draft = script.replace(release[1], "0" * 32)
    assert hashlib.sha256(manifest.read_bytes() + draft.encode()).hexdigest()[:32] == release[1]
    for digest in re.findall("blobs/sha256/([0-9a-f]{64})", script):
        assert hashlib.sha256((store.root / "blobs" / "sha256" / digest).read_bytes()).hexdigest() == digest
    return image[1]


def killed_before(step: int, work: Callable[[], Any]) -> bool:
    """Do the work in a process that dies before its step of that number. True when it died."""
    pid = os.fork()
    if pid == 0:
        _count_down(step)
        work()
        os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _count_down(step: int) -> None:
    left = [step]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))


@pytest.mark.parametrize("before", [None, "one"])
def test_killed_at_every_step(store: Store, tmp_path: Path, before: str | None) -> None:
    steps = 0
    outcomes = set()
    while True:
        steps += 1
        fresh = type(store)(tmp_path / f"web{steps}")
        fresh.image("one")
        fresh.image("two")
        if before:
            do(fresh, before)
        died = killed_before(steps, lambda: do(fresh, "two"))  # noqa: B023
        outcomes.add(seen(fresh))
        if not died:
            break
        do(fresh, "two")
        assert seen(fresh) == "two"
        assert do(fresh, "two") is False
        images = [entry["image_id"] for entry in fresh.history("lab")]
        assert images == [image for image in (before, "two") if image]
    assert steps > 25
    assert outcomes == {before, "two"}


def test_a_rollback_that_was_killed_at_any_step_is_told_as_a_rollback(store: Store, tmp_path: Path) -> None:
    steps, late = 0, 0
    while True:
        steps += 1
        fresh = type(store)(tmp_path / f"web{steps}")
        for image_id in ("one", "two", "three"):
            fresh.image(image_id)
            do(fresh, image_id)
        died = killed_before(steps, lambda: go_back(fresh))  # noqa: B023
        if seen(fresh) == "two":
            do(fresh, "two")
            last = fresh.history("lab")[-1]
            assert (last["action"], last["by"], last["image_id"]) == ("rollback", "ann@desk", "two")
            assert len(fresh.history("lab")) == 4
            late += last.get("recorded_late", False)
            # As after a rollback that lived: the next step back goes past what it left.
            go_back(fresh)
            assert seen(fresh) == "one"
        if not died:
            break
    assert late > 0


def test_readers_beside_a_busy_writer(store: Store) -> None:
    for image_id in ("one", "two"):
        store.image(image_id)
    do(store, "one")
    stop = threading.Event()
    images: list[str | None] = []

    def read() -> None:
        while not stop.is_set():
            images.append(seen(store))

    readers = [threading.Thread(target=read) for _number in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(100):
        do(store, "two" if turn % 2 == 0 else "one")
    stop.set()
    for reader in readers:
        reader.join()
    assert set(images) == {"one", "two"}
    assert len(images) > 100
    assert len(store.history("lab")) == 101


def test_two_writers(store: Store) -> None:
    for image_id in ("one", "two"):
        store.image(image_id)
    children = []
    for image_id in ("one", "two"):
        pid = os.fork()
        if pid == 0:
            for _number in range(20):
                do(store, image_id)
            os._exit(0)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0]
    history = store.history("lab")
    assert seen(store) == history[-1]["image_id"]
    for earlier, later in itertools.pairwise(history):
        assert later["previous_release_id"] == earlier["release_id"]
