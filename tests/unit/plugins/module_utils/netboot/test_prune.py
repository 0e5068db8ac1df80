# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is removed, and above all what is not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.prune import policy
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.pruning import Pruning, prune
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, publish
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify
from ansible_collections.nixmetal.builders.plugins.modules import netboot_prune

if TYPE_CHECKING:
    from .conftest import Store

DAY = 86400.0


def published(store: Store, image_id: str, channel: str = "lab") -> str:
    root = str(store.root)
    if not (store.root / ".state" / "staging" / image_id).exists():
        store.image(image_id, kernel=b"shared kernel", initrd_00=b"root of " + image_id.encode())
    manifest = staged_manifest(root, image_id)
    return publish(root, manifest, Settings(channel, "http://web", "relative", ()), False, 1).release.release_id


def pruned(
    store: Store, *, keep: int = 1, live: tuple[object, ...] = (), days: float = 2, dry_run: bool = False
) -> Pruning:
    """Prune as if so many days had passed."""
    rules = policy(keep, list(live), 24)
    return prune(Writer(str(store.root), dry_run, 1), rules, time.time() + days * DAY)


def images(store: Store, channel: str = "lab") -> set[str]:
    scripts = (store.root / "releases" / channel).glob("*/netboot.ipxe")
    return {line.split()[-1] for path in scripts for line in path.read_text().splitlines() if "nixmetal: image" in line}


def blobs(store: Store) -> set[bytes]:
    return {path.read_bytes() for path in (store.root / "blobs" / "sha256").iterdir()}


@pytest.fixture
def four(store: Store) -> list[str]:
    """A release a time of four images, the last one active."""
    return [published(store, name) for name in ("one", "two", "three", "four")]


def test_the_active_one_and_the_newest_stay(store: Store, four: list[str]) -> None:
    done = pruned(store, keep=2)
    assert {verdict.release_id for verdict in done.removed} == set(four[:2])
    assert images(store) == {"three", "four"}
    assert blobs(store) == {b"shared kernel", b"root of three", b"root of four"}
    assert sum(done.rubbish.blobs.values()) == len(b"root of one" + b"root of two")
    assert done.rubbish.staged == ["one", "two"]
    assert verify(str(store.root)).problems == []
    assert pruned(store, keep=2).changed is False


def test_check_mode_tells_the_same_and_removes_nothing(store: Store, four: list[str]) -> None:
    before = sorted(store.root.rglob("*"))
    planned = pruned(store, dry_run=True)
    assert sorted(store.root.rglob("*")) == before
    assert planned == pruned(store)


def test_the_difference_shows_what_goes(store: Store, four: list[str]) -> None:
    diff = netboot_prune.result(pruned(store, keep=3))["diff"]
    before, after = (json.loads(diff[side])["releases"] for side in ("before", "after"))
    gone = [release for release in before if release not in after]
    assert [(release["channel"], release["image_id"]) for release in gone] == [("lab", "one")]
    assert "nixmetal.image=one" in gone[0]["command_line"]
    assert gone[0]["files"]["kernel"].startswith("kernel 13 ")
    assert len(after) == 3


def test_a_live_machines_image_stays_in_every_channel(store: Store, four: list[str]) -> None:
    published(store, "one", "canary")
    published(store, "two", "canary")
    pruned(store, live=("one",))
    assert images(store) == {"one", "four"}
    assert images(store, "canary") == {"one", "two"}
    assert b"root of one" in blobs(store)


@pytest.mark.parametrize("unknown", [None, "", "None"])
def test_a_machine_of_which_nothing_is_known_stops_it(store: Store, four: list[str], unknown: object) -> None:
    with pytest.raises(NetbootError, match=r"runs an image that is not known\. Nothing was removed"):
        pruned(store, live=("one", unknown))
    assert len(images(store)) == 4


def test_what_was_active_within_the_grace_time_stays(store: Store, four: list[str]) -> None:
    assert pruned(store, days=0.5).changed is False
    aged = [entry.replace(time.strftime("%Y-", time.gmtime()), "2001-") for entry in history_lines(store)[:2]]
    history_path(store).write_text("\n".join(aged + history_lines(store)[2:]) + "\n")
    for release_id in four:
        os.utime(store.root / "releases" / "lab" / release_id, (0, 0))
    pruned(store, days=0.5)
    # The second was active until the third came, which is not yet a day ago.
    assert images(store) == {"two", "three", "four"}


def history_path(store: Store) -> Path:
    return store.root / ".state" / "history" / "lab.jsonl"


def history_lines(store: Store) -> list[str]:
    return history_path(store).read_text().splitlines()


def test_the_active_release_stays_though_it_is_the_oldest(store: Store, four: list[str]) -> None:
    (store.root / "lab").unlink()
    (store.root / "lab").symlink_to(f"releases/lab/{four[0]}")
    history_path(store).unlink()
    pruned(store)
    assert images(store) == {"one"}


def test_what_was_written_within_the_grace_time_stays_though_no_history_tells_of_it(
    store: Store, four: list[str]
) -> None:
    history_path(store).unlink()
    assert pruned(store, days=0.5).changed is False
    assert images(store) == {"one", "two", "three", "four"}


def test_a_blob_on_its_way_stays(store: Store, four: list[str]) -> None:
    on_its_way = store.blob(b"of an image that is not staged yet")
    pruned(store, days=0.5)
    assert on_its_way.exists()
    pruned(store)
    assert not on_its_way.exists()


def test_a_streamed_image_that_is_not_published_yet_keeps_its_blobs(store: Store, four: list[str]) -> None:
    store.image("five")
    for path in (store.root / "blobs" / "sha256").iterdir():
        os.utime(path, (0, 0))
    pruned(store, days=0.5)
    assert publish(
        str(store.root), staged_manifest(str(store.root), "five"), Settings("x", "http://w", "relative", ()), False, 1
    )


def test_an_image_that_was_streamed_again_keeps_blobs_that_are_older_than_the_grace_time(
    store: Store, four: list[str]
) -> None:
    store.image("five")
    came = max(path.stat().st_ctime for path in (store.root / "blobs" / "sha256").iterdir())
    staged = store.root / ".state" / "staging" / "five" / "manifest.json"
    while staged.stat().st_ctime <= came:
        os.utime(staged)
    done = prune(Writer(str(store.root), False, 1), policy(1, [], 24), came + DAY)
    assert "five" not in done.rubbish.staged
    assert {b"kernel of five", b"root of five"} <= blobs(store)
    assert b"root of one" not in blobs(store)


@pytest.mark.parametrize("edited", [False, True])
def test_a_damaged_release_keeps_itself_and_every_blob(store: Store, four: list[str], edited: bool) -> None:
    """One that can be read, but is not what its id is the digest of, is no less damaged."""
    manifest = store.root / "releases" / "lab" / four[0] / "manifest.json"
    manifest.write_text(manifest.read_text().replace("quiet", "loud") if edited else "{")
    done = pruned(store)
    assert done.rubbish.hindrance == f"the manifest of release {four[0]} of lab is damaged"
    assert len(blobs(store)) == 5
    assert {verdict.release_id for verdict in done.kept} == {four[0], four[3]}


def test_what_is_remembered_of_a_blob_goes_with_it(store: Store, four: list[str]) -> None:
    pruned(store)
    left = {path.name for path in (store.root / "blobs" / "sha256").iterdir()}
    assert {path.name for path in (store.root / ".state" / "verified").iterdir()} == left


@pytest.mark.parametrize(("keep", "hours", "words"), [(0, 1, "keep: 0"), (1, -1, "grace_hours: -1")])
def test_policies_that_make_no_sense(keep: int, hours: float, words: str) -> None:
    with pytest.raises(NetbootError, match=words):
        policy(keep, [], hours)
