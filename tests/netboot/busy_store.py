# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store that many write to while many boot from it: writers that publish, go back, promote and prune, and clients of a real nginx."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import multiprocessing
import os
import random
import re
import signal
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.prune import policy
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.pruning import prune
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import (
    image_of,
    older,
    promotion,
    staged_manifest,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, switch

CHANNELS = ("canary", "stable")
IMAGES = 12
# Shared by several images, so that blobs are used by more than one release.
KERNELS = 3
KERNEL_BYTES, INITRD_BYTES = 40_000, 150_000
GRACE_SECONDS = 4.0
RELEASE = re.compile(r"^echo nixmetal: release ([0-9a-f]{32})$", re.MULTILINE)
IMAGE = re.compile(r"^echo nixmetal: image (.+)$", re.MULTILINE)
BLOB = re.compile(r"--name (\S+) \.\./(blobs/sha256/[0-9a-f]{64})")


class Boots(NamedTuple):
    """What one client saw."""

    boots: int
    requests: int
    releases: set[str]
    failures: list[str]
    slow: list[str]


def content(kind: str, number: int, size: int) -> bytes:
    return random.Random(f"{kind} {number}").randbytes(size)


def stage(root: Path, number: int) -> str:
    """Bring an image as the receiver of a stream does: whole under its final name or not at all."""
    contents = {
        "kernel": content("kernel", number % KERNELS, KERNEL_BYTES),
        "initrd-00": content("initrd", number, INITRD_BYTES),
    }
    image_id = f"image-{number}"
    files = []
    for name, text in contents.items():
        digest = hashlib.sha256(text).hexdigest()
        _put(root, root / "blobs/sha256" / digest, text, 0o444)
        files.append({"name": name, "role": name.split("-", maxsplit=1)[0], "size": len(text), "sha256": digest})
    manifest = {"schema": 1, "image_id": image_id, "system": "x86_64-linux", "kernel_params": [], "files": files}
    staged = root / ".state/staging" / image_id / "manifest.json"
    staged.parent.mkdir(parents=True, exist_ok=True)
    _put(root, staged, json.dumps(manifest).encode(), 0o600)
    return image_id


def _put(root: Path, path: Path, text: bytes, mode: int) -> None:
    # A name of its own each time: another writer may bring the same.
    part = root / ".state" / f"part-{os.getpid()}-{time.monotonic_ns()}"
    try:
        part.write_bytes(text)
        part.chmod(mode)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def boot(connection: http.client.HTTPConnection, channel: str) -> tuple[str, int]:
    """Fetch what a machine fetches. The answer is the release and the number of requests; what is not as it should be is raised."""
    script = _get(connection, f"/{channel}/netboot.ipxe").decode()
    release, image = RELEASE.search(script), IMAGE.search(script)
    blobs = BLOB.findall(script)
    assert release, script
    assert image, script
    assert [name for name, _path in blobs] == ["kernel", "initrd-00"], script
    number = int(image[1].rpartition("-")[2])
    wanted = [content("kernel", number % KERNELS, KERNEL_BYTES), content("initrd", number, INITRD_BYTES)]
    for (_name, path), text in zip(blobs, wanted, strict=True):
        assert _get(connection, f"/{path}") == text, f"{path} is not what {image[1]} has"
    manifest = json.loads(_get(connection, f"/releases/{channel}/{release[1]}/manifest.json"))
    assert manifest["image_id"] == image[1], f"release {release[1]} says {manifest['image_id']}, its script {image[1]}"
    return release[1], len(blobs) + 2


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, f"{answer.status} for {path}"
    return text


def client(port: int, seed: int, stop: Event, told: Queue[Boots]) -> None:
    """Boot again and again."""
    dice = random.Random(seed)
    boots, requests, releases = 0, 0, set()
    failures: list[str] = []
    slow: list[str] = []
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        begin = time.monotonic()
        try:
            for _number in range(20):
                begin = time.monotonic()
                release, count = boot(connection, dice.choice(CHANNELS))
                boots, requests = boots + 1, requests + count
                releases.add(release)
        except (AssertionError, OSError, http.client.HTTPException) as error:
            elapsed = time.monotonic() - begin
            # On a machine that stands still for so long, pruning may overtake a boot: that is what the grace time means.
            kind = slow if elapsed > GRACE_SECONDS else failures
            kind.append(f"after {elapsed:.2f} s: {type(error).__name__}: {error}")
        finally:
            connection.close()
    told.put(Boots(boots, requests, releases, failures, slow))


def write(root: Path, seed: int) -> None:
    """Do what operators and timers do, in an order of its own. What is refused is written down, and no harm."""
    dice = random.Random(seed)
    with (root.parent / "refused").open("a") as refused, (root.parent / "done").open("a") as done:
        while True:
            name, act = dice.choices(ACTS, [5, 2, 2, 1])[0]
            try:
                act(root, dice)
                print(name, file=done, flush=True)
            except (NetbootError, OSError) as error:
                print(f"{name}: {error}", file=refused, flush=True)


def settings(channel: str) -> Settings:
    return Settings(channel, "http://127.0.0.1", "relative", ())


def _publish(root: Path, dice: random.Random) -> None:
    image_id = stage(root, dice.randrange(IMAGES))
    switch(_writer(root), "canary", image_of(staged_manifest(str(root), image_id), settings("canary")))


def _back(root: Path, dice: random.Random) -> None:
    channel = dice.choice(CHANNELS)
    switch(_writer(root), channel, older(str(root), channel, "previous"))


def _promote(root: Path, _dice: random.Random) -> None:
    switch(_writer(root), "stable", promotion(str(root), "canary", None, settings("stable")))


def _prune(root: Path, _dice: random.Random) -> None:
    prune(_writer(root), policy(1, [], GRACE_SECONDS / 3600))


def _writer(root: Path) -> Writer:
    return Writer(str(root), lock_timeout=30, by="writer")


ACTS = (("publish", _publish), ("back", _back), ("promote", _promote), ("prune", _prune))


class Trouble:
    """Writers that are killed at random, and a file system that is full at random, until the time is over."""

    def __init__(self, root: Path, seed: int, writers: int = 2) -> None:
        self.root, self.writers, self.kills, self.floods = root, writers, 0, 0
        self._dice = random.Random(seed)
        self._fork = multiprocessing.get_context("fork")

    def go_on(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        running = [self._start() for _number in range(self.writers)]
        filler = self.root / ".state" / "filler"
        try:
            while time.monotonic() < deadline:
                time.sleep(self._dice.uniform(0.02, 0.25))
                victim = self._dice.randrange(len(running))
                self._end(running[victim])
                self.kills += 1
                running[victim] = self._start()
                if self._dice.random() < 0.15:
                    self._flood(filler)
        finally:
            for process in running:
                self._end(process)
            filler.unlink(missing_ok=True)

    def _start(self) -> Any:
        process = self._fork.Process(target=write, args=(self.root, self._dice.randrange(1 << 30)))
        process.start()
        return process

    def _end(self, process: Any) -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        # What it was bringing: a receiver would go on with it.
        for part in (self.root / ".state").glob(f"part-{process.pid}-*"):
            part.unlink()

    def _flood(self, filler: Path) -> None:
        """Fill the file system to its last page for a moment."""
        self.floods += 1
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
            while stream.write(bytes(1 << 14)):
                pass
        time.sleep(self._dice.uniform(0.05, 0.3))
        filler.unlink(missing_ok=True)
