# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Older releases made active again, steps back, and promotion from channel to channel."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.difference import as_diff
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.history import release_before
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import older, promotion, staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import (
    Publication,
    Writer,
    publish,
    switch,
)

if TYPE_CHECKING:
    from .conftest import Store

LAB = Settings("lab", "http://web", "relative", ("console=ttyS0",))
STABLE = Settings("stable", "https://stable", "absolute", ("console=ttyS1", "panic=30"))


def published(store: Store, image_id: str, settings: Settings = LAB) -> str:
    root = str(store.root)
    if not (store.root / ".state" / "staging" / image_id).exists():
        store.image(image_id)
    return publish(root, staged_manifest(root, image_id), settings, False, 1).release.release_id


def activated(store: Store, release_id: str, *, dry_run: bool = False, replaces: str | None = None) -> Publication:
    root = str(store.root)
    return switch(Writer(root, dry_run, 1, by="ann@desk"), "lab", older(root, "lab", release_id), replaces)


def promoted(store: Store, release_id: str | None = None) -> Publication:
    root = str(store.root)
    return switch(Writer(root, False, 1), "stable", promotion(root, "lab", release_id, STABLE))


def active(store: Store, channel: str = "lab") -> str:
    return os.readlink(store.root / channel).rpartition("/")[2]


def test_an_older_release_is_active_again_as_it_was(store: Store) -> None:
    first, second = published(store, "one"), published(store, "two")
    planned = activated(store, first, dry_run=True)
    assert active(store) == second
    done = activated(store, first)
    assert (planned.changed, planned.after) == (done.changed, done.after)
    assert (active(store), done.previous_release_id, done.url) == (first, second, "http://web/lab/netboot.ipxe")
    assert done.after["image_id"] == "one"
    assert done.release.command_line.endswith(" nixmetal.image=one quiet console=ttyS0")
    assert activated(store, first).changed is False
    last = store.history("lab")[-1]
    assert (last["action"], last["by"], last["previous_release_id"]) == ("activate", "ann@desk", second)


def test_each_step_back_goes_one_further(store: Store) -> None:
    releases = [published(store, name) for name in ("one", "two", "three")]
    activated(store, "previous")
    assert active(store) == releases[1]
    activated(store, "previous")
    assert active(store) == releases[0]
    with pytest.raises(NetbootError, match="knows no release before"):
        activated(store, "previous")
    four = published(store, "four")
    activated(store, "previous")
    assert (active(store), four in active(store)) == (releases[0], False)
    assert [entry["action"] for entry in store.history("lab")[3:]] == ["rollback", "rollback", "publish", "rollback"]


def test_a_step_back_passes_over_what_was_pruned(store: Store) -> None:
    releases = [published(store, name) for name in ("one", "two", "three")]
    shutil.rmtree(store.root / "releases" / "lab" / releases[1])
    activated(store, "previous")
    assert active(store) == releases[0]


def test_a_step_back_from_a_named_release_is_taken_once(store: Store) -> None:
    first, second = published(store, "one"), published(store, "two")
    assert activated(store, "previous", replaces=second).changed is True
    again = activated(store, "previous", replaces=second)
    assert (again.changed, again.action, again.release.release_id) == (False, "keep", first)
    assert active(store) == first


def test_the_step_before_a_release_that_the_history_does_not_know() -> None:
    history = [{"action": "publish", "release_id": "a"}, {"action": "publish", "release_id": "b"}]
    assert release_before(history, "x") == "b"
    assert release_before([], "x") is None


@pytest.mark.parametrize(
    ("release_id", "words"),
    [("0" * 32, "is not in the store"), ("../../x", "is neither 'previous' nor"), ("latest", "is neither 'previous'")],
)
def test_a_release_that_is_none(store: Store, release_id: str, words: str) -> None:
    first = published(store, "one")
    with pytest.raises(NetbootError, match=words):
        activated(store, release_id)
    assert active(store) == first


@pytest.mark.parametrize("name", ["manifest.json", "netboot.ipxe"])
def test_an_older_release_that_was_changed_is_not_activated(store: Store, name: str) -> None:
    first, second = published(store, "one"), published(store, "two")
    path = store.root / "releases" / "lab" / first / name
    path.write_text(path.read_text().replace("quiet", "quick"))
    with pytest.raises(NetbootError, match="is damaged: its name is not the digest"):
        activated(store, first)
    assert active(store) == second


def test_an_older_release_whose_blob_is_gone_is_not_activated(store: Store) -> None:
    digest = store.image("one")["files"][0]["sha256"]
    first, second = published(store, "one"), published(store, "two")
    (store.root / "blobs" / "sha256" / digest).unlink()
    with pytest.raises(NetbootError, match="the blob of kernel is not in the store"):
        activated(store, first)
    assert active(store) == second


def test_promotion_copies_no_blob_and_keeps_the_channels_own_settings(store: Store) -> None:
    first = published(store, "one")
    second = published(store, "two")
    blobs = {path.name: path.stat().st_ino for path in (store.root / "blobs" / "sha256").iterdir()}
    done = promoted(store)
    assert {path.name: path.stat().st_ino for path in (store.root / "blobs" / "sha256").iterdir()} == blobs
    assert (done.changed, done.after["image_id"], active(store)) == (True, "two", second)
    assert done.after["kernel_params"] == ["quiet", "console=ttyS1", "panic=30"]
    assert done.url == "https://stable/stable/netboot.ipxe"
    assert f"https://stable/blobs/sha256/{done.release.manifest.kernel.sha256}" in done.release.contents[
        "netboot.ipxe"
    ].decode("ascii")
    assert store.history("stable")[-1]["from"] == f"lab/{second}"
    assert promoted(store).changed is False
    assert promoted(store, first).after["image_id"] == "one"


def test_what_cannot_be_promoted(store: Store) -> None:
    with pytest.raises(NetbootError, match="the channel lab has no release"):
        promoted(store)
    first = published(store, "one")
    with pytest.raises(NetbootError, match=f"release {'0' * 32} of lab is not in the store"):
        promoted(store, "0" * 32)
    with pytest.raises(NetbootError, match="lab cannot be promoted to itself"):
        promotion(str(store.root), "lab", None, LAB)
    (store.root / "lab" / "manifest.json").write_text("{}")
    with pytest.raises(NetbootError, match=f"release {first} of lab is not in the store, or its manifest is damaged"):
        promoted(store)
    assert not (store.root / "stable").is_symlink()


def test_a_way_back_that_leads_round_in_a_circle_ends(store: Store) -> None:
    """Published one, two, one again, three; then the first two were pruned."""
    first, second = published(store, "one"), published(store, "two")
    published(store, "one")
    third = published(store, "three")
    for release_id in (first, second):
        shutil.rmtree(store.root / "releases" / "lab" / release_id)
    with pytest.raises(NetbootError, match="knows no release before"):
        activated(store, "previous")
    assert active(store) == third


def test_what_was_edited_is_not_promoted(store: Store) -> None:
    first = published(store, "one")
    manifest = store.root / "releases" / "lab" / first / "manifest.json"
    manifest.write_text(manifest.read_text().replace("quiet", "loud"))
    with pytest.raises(NetbootError, match="its manifest is damaged"):
        promoted(store)


def test_the_difference_shows_what_it_costs(store: Store) -> None:
    published(store, "one")
    store.image("another")
    changed = publish(str(store.root), staged_manifest(str(store.root), "another"), LAB, True, 1)
    diff = as_diff("lab", changed.before, changed.after)
    before, after = json.loads(diff["before"]), json.loads(diff["after"])
    assert after["bytes_added"] == len(b"kernel of another" + b"root of another")
    assert after["bytes_freed"] == len(b"kernel of one" + b"root of one")
    assert (before["image_id"], after["image_id"]) == ("one", "another")
    assert "nixmetal.image=another" in after["command_line"]
    same = publish(str(store.root), staged_manifest(str(store.root), "one"), LAB, True, 1)
    diff = as_diff("lab", same.before, same.after)
    assert diff["before"] == diff["after"]
