# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of a store say when they cannot do their work, or not all of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.nixmetal.builders.plugins.modules import (
    netboot_export,
    netboot_prune,
    netboot_release,
    netboot_release_info,
    netboot_signature,
    netboot_status,
)

if TYPE_CHECKING:
    from tests.unit.plugins.conftest import Said

    from .conftest import Store


def test_a_channel_without_a_release_is_not_exported(said: Said, store: Store, tmp_path: Path) -> None:
    told = said(netboot_export, root=str(store.root), channel="lab", dest=str(tmp_path / "export"))
    assert (told["failed"], told["msg"]) == (True, f"channel: lab has no release in {store.root}.")
    assert not (tmp_path / "export").exists()


def test_a_place_that_cannot_take_an_export_is_named(said: Said, store: Store, tmp_path: Path) -> None:
    store.publish("one")
    (tmp_path / "file").touch()
    told = said(netboot_export, root=str(store.root), channel="lab", dest=f"{tmp_path}/file/export")
    assert told["failed"]
    assert f"{tmp_path}/file" in told["msg"]
    assert not told.get("exception")


def test_a_store_that_is_not_there_is_looked_at_by_nobody(said: Said, tmp_path: Path) -> None:
    for module in (netboot_release_info, netboot_status):
        told = said(module, root=str(tmp_path / "web"))
        assert (told["failed"], told["msg"]) == (
            True,
            f"root: the directory {tmp_path}/web does not exist; role netboot_server makes it.",
        )


def test_a_store_that_cannot_be_read_is_told_with_the_place(said: Said, store: Store) -> None:
    (store.root / ".state" / "staging").parent.mkdir(exist_ok=True)
    (store.root / "releases").write_text("")
    told = said(netboot_release_info, root=str(store.root), channel="lab")
    assert told["failed"]
    assert str(store.root / "releases") in told["msg"]


def test_a_key_that_is_not_there_signs_nothing(said: Said, tmp_path: Path) -> None:
    told = said(
        netboot_signature, digests={"a": "0" * 64}, certificate=f"{tmp_path}/none.pem", key=f"{tmp_path}/none.key"
    )
    assert told["failed"]
    assert f"{tmp_path}/none" in told["msg"]


def test_why_no_blob_goes_is_a_warning(said: Said, store: Store) -> None:
    release = store.publish("one").release.release_id
    (store.root / "releases" / "lab" / release / "manifest.json").write_text("{")
    told = said(netboot_prune, root=str(store.root), keep_image_ids=[], keep=1)
    because = f"the manifest of release {release} of lab is damaged"
    assert (told["changed"], told["blobs_kept_because"]) == (False, because)
    assert said.warnings == [f"No blob was removed: {because}. Publish it again, or remove its directory."]


def test_check_mode_says_which_blobs_the_stream_still_has_to_bring(said: Said, store: Store) -> None:
    manifest = store.image("one")
    for file in manifest["files"]:
        (store.root / "blobs" / "sha256" / file["sha256"]).unlink()
    wanted = {"root": str(store.root), "channel": "lab", "manifest": manifest, "base_url": "http://web"}
    told = said(netboot_release, check_mode=True, **wanted)
    assert (told["changed"], told["missing_blobs"]) == (True, ["kernel", "initrd-00"])
    assert said.warnings == ["2 blobs of the image are not on this host yet; the stream has to bring them."]
    assert said(netboot_release, **wanted)["failed"]
    assert not (store.root / "lab").exists()
