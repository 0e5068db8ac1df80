# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Publishing under thousands of requests: every boot gets one whole release, whatever writers do and whatever becomes of them."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from busy_store import CHANNELS, Boots, Trouble, client, settings, stage
from web_server import WebServer

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.history import read_history
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import (
    image_of,
    promotion,
    staged_manifest,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, switch
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify

CLIENTS = 3
SEED = int(os.environ.get("NIXMETAL_TEST_SEED", "5"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store on a small file system of its own, with a release in both channels."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs", str(place)], check=True)
    try:
        (place / "blobs" / "sha256").mkdir(parents=True)
        (place / ".state").mkdir(mode=0o700)
        publish_first(place)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def publish_first(root: Path) -> None:
    writer = Writer(str(root), by="test")
    switch(writer, "canary", image_of(staged_manifest(str(root), stage(root, 0)), settings("canary")))
    switch(writer, "stable", promotion(str(root), "canary", None, settings("stable")))


def under_load(store: Path, seconds: float) -> tuple[list[Boots], Trouble]:
    fork = multiprocessing.get_context("fork")
    stop, told = fork.Event(), fork.Queue()
    with WebServer(store.parent / "nginx", store) as web:
        clients = [fork.Process(target=client, args=(web.port, SEED + number, stop, told)) for number in range(CLIENTS)]
        for one in clients:
            one.start()
        trouble = Trouble(store, SEED)
        try:
            trouble.go_on(seconds)
        finally:
            stop.set()
            seen = [told.get(timeout=60) for _one in clients]
            for one in clients:
                one.join()
    return seen, trouble


def check(store: Path, seen: list[Boots], trouble: Trouble) -> None:
    """No client saw anything wrong, and what is left is whole."""
    refused = (store.parent / "refused").read_text().splitlines()
    done = Counter((store.parent / "done").read_text().split())
    boots, requests = sum(one.boots for one in seen), sum(one.requests for one in seen)
    releases = set.union(*(one.releases for one in seen))
    print(
        f"seed {SEED}: {boots} boots, {requests} requests, {len(releases)} releases seen; done {dict(done)}; "
        f"{trouble.kills} writers killed, file system full {trouble.floods} times, {len(refused)} refusals, "
        f"{sum(len(one.slow) for one in seen)} boots slower than the grace time"
    )
    assert [failure for one in seen for failure in one.failures] == []
    assert min(done[name] for name in ("publish", "back", "promote", "prune")) > 0
    assert trouble.floods > 0
    assert len(releases) > 2
    reasons = ("is full", "knows no release before", "is not in the store", "No space left", "is staged on this host")
    assert [line for line in refused if not any(reason in line for reason in reasons)] == []
    assert verify(str(store)).problems == []
    for history in (read_history(str(store), channel) for channel in CHANNELS):
        for earlier, later in itertools.pairwise(history):
            assert later.get("previous_release_id", earlier["release_id"]) == earlier["release_id"]
    publish_first(store)


def test_every_boot_is_of_one_whole_release(store: Path) -> None:
    seen, trouble = under_load(store, 8)
    check(store, seen, trouble)
    assert sum(one.requests for one in seen) > 1000


@pytest.mark.long
def test_every_boot_is_of_one_whole_release_for_minutes(store: Path) -> None:
    seen, trouble = under_load(store, float(os.environ.get("NIXMETAL_TEST_SECONDS", "150")))
    check(store, seen, trouble)
    assert sum(one.requests for one in seen) > 20_000
