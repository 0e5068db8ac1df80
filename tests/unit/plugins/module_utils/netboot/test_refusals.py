# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is nothing to do for, and what stands in the way of an operation on a store."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.prune import policy
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.pruning import prune
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import image_of, older, staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.store_errors import explained
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, switch
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify

if TYPE_CHECKING:
    from .conftest import Store

LAB = Settings("lab", "http://web", "relative", ())


def test_a_channel_without_a_release_has_nothing_to_go_back_from_or_to_replace(store: Store) -> None:
    root = str(store.root)
    with pytest.raises(NetbootError, match="channel: lab has no release, so there is nothing to go back from"):
        switch(Writer(root), "lab", older(root, "lab", "previous"))
    store.image("one")
    with pytest.raises(NetbootError, match="the channel lab has no release, so 00000000"):
        switch(Writer(root), "lab", image_of(staged_manifest(root, "one"), LAB), "0" * 32)
    assert not (store.root / "lab").exists()


def test_no_store_is_pruned_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NetbootError, match="web does not exist; role netboot_server makes it"):
        prune(Writer(str(tmp_path / "web"), True), policy(1, [], 24))


def test_no_blob_goes_beside_a_staged_manifest_that_cannot_be_read(store: Store) -> None:
    store.image("one")
    (store.root / ".state" / "staging" / "one" / "manifest.json").write_text("{")
    done = prune(Writer(str(store.root), False, 1), policy(1, [], 24), time.time())
    assert str(done.rubbish.hindrance).startswith("a staged manifest is damaged: ")
    assert (done.rubbish.blobs, done.changed) == ({}, False)


def test_a_size_that_the_manifest_does_not_say_is_told(store: Store) -> None:
    store.image("one")
    root = str(store.root)
    staged = staged_manifest(root, "one")
    switch(Writer(root), "lab", image_of(staged, LAB))
    wrong = staged.document["files"][0]
    path = store.root / "blobs" / "sha256" / wrong["sha256"]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"!")
    problems = verify(root).problems
    assert any(f"holds {wrong['size'] + 1} bytes, kernel of release" in problem for problem in problems)


def test_an_error_of_no_special_kind_is_told_with_the_systems_words() -> None:
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    assert explained("/srv/netboot", error) == "cannot publish below /srv/netboot: Input/output error (/srv/netboot)."
