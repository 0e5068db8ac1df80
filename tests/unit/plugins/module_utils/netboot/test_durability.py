# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a power cut may find: nothing that is named is not yet on the disk, and nothing is gone that a name still counts on."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import export as exporting
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.lock import owner_path, store_lock
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.prune import policy
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.pruning import prune
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.plugins.module_utils.conftest import Steps

    from .conftest import Store


def test_a_release_is_on_the_disk_before_the_link_leads_to_it(store: Store, steps: Steps) -> None:
    made = store.publish("one").release.release_id
    folder, link = store.root / "releases" / "lab" / made, store.root / "lab"
    named, turned = steps.first("name", folder), steps.first("name", link)
    draft = steps.was(folder)
    for path in (draft, *(os.path.join(draft, name) for name in os.listdir(folder))):
        assert steps.last("flush", path) < named
    history = store.root / ".state" / "history" / "lab.jsonl"
    assert named < steps.first("flush", folder.parent) < turned
    assert turned < steps.last("flush", store.root) < steps.first("flush", history)


def test_a_claim_on_the_store_is_on_the_disk_before_anything_is_done(store: Store, steps: Steps) -> None:
    with store_lock(str(store.root), "publish", 1):
        state = os.path.dirname(owner_path(str(store.root)))
        assert steps.last("flush", state) == len(steps.done) - 1


def test_an_export_is_on_the_disk_before_it_has_its_name(store: Store, steps: Steps, tmp_path: Path) -> None:
    dest = tmp_path / "copies" / "lab"
    exporting.export(str(store.root), store.publish("one").release, str(dest), False)
    named, draft = steps.first("name", dest), steps.was(dest)
    for path in (draft, *(os.path.join(draft, name) for name in os.listdir(dest))):
        assert steps.last("flush", path) < named
    assert named < steps.last("flush", dest.parent)


def test_a_blob_that_is_damaged_after_it_was_looked_at_is_not_exported(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release, refuse = store.publish("one").release, exporting.refuse_missing

    def damage(root: str, missing: list[Any]) -> None:
        refuse(root, missing)
        blob = store.root / "blobs" / "sha256" / release.manifest.kernel.sha256
        blob.chmod(0o644)
        blob.write_bytes(b"?" * release.manifest.kernel.size)

    monkeypatch.setattr(exporting, "refuse_missing", damage)
    with pytest.raises(NetbootError, match=r"the blob of kernel is damaged: .* nothing was exported"):
        exporting.export(str(store.root), release, str(tmp_path / "copies" / "lab"), False)
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_release_is_gone_from_the_disk_before_its_blobs_go(store: Store, steps: Steps) -> None:
    old = store.publish("one").release
    store.publish("two")
    steps.done.clear()
    done = prune(Writer(str(store.root), False, 1), policy(1, [], 24), time.time() + 3 * 86400)
    assert [verdict.release_id for verdict in done.removed] == [old.release_id]
    folder, blobs = store.root / "releases" / "lab" / old.release_id, store.root / "blobs" / "sha256"
    taken = steps.first("was", folder)
    flushed = min(place for place in steps.places("flush", folder.parent) if place > taken)
    gone = [steps.first("gone", blobs / digest) for digest in done.rubbish.blobs]
    assert len(gone) == 2
    assert flushed < min(gone)
    assert max(gone) < steps.last("flush", blobs)
