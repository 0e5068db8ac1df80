# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of a store say when they cannot do their work, or not all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from authority import issue, write_pair

from ansible_collections.nixmetal.builders.plugins.modules import (
    netboot_certificate_info,
    netboot_export,
    netboot_prune,
    netboot_release,
    netboot_release_info,
    netboot_signature,
    netboot_status,
    netboot_test_boot,
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
    assert said.warnings == ["Not on this host yet: 2 blobs of the image; the stream has to bring them."]
    assert said(netboot_release, **wanted)["failed"]
    assert not (store.root / "lab").exists()


def test_a_certificate_is_looked_at_where_it_lies(said: Said, tmp_path: Path) -> None:
    root = issue("Test Root", authority=True, days=(-1, 900))
    write_pair(tmp_path, [issue("web.example.org", root, names=("web.example.org",)), root])
    options = {"acme_directory": str(tmp_path), "names": ["web.example.org", "other.example.org"]}
    told = said(netboot_certificate_info, **options)
    assert (told["changed"], told["names"], "served" in told) == (False, ["web.example.org"], False)
    assert ["other.example.org" in problem for problem in told["problems"]] == [True]
    assert said(netboot_certificate_info, **options, served_at="127.0.0.1:9")["served"] is None
    nowhere = said(netboot_certificate_info, certificate=f"{tmp_path}/none.pem", key=f"{tmp_path}/none.key")
    assert nowhere["failed"]
    assert f"{tmp_path}/none" in nowhere["msg"]


@pytest.mark.parametrize("way", ["image_id", "manifest", "directory"])
def test_check_mode_of_a_test_boot_looks_at_the_image_and_boots_nothing(
    said: Said, store: Store, tmp_path: Path, way: str
) -> None:
    manifest = store.image("one")
    where: dict[str, Any] = {"root": str(store.root), "image_id": "one"}
    if way == "manifest":
        where = {"root": str(store.root), "manifest": manifest}
    elif way == "directory":
        for file in manifest["files"]:
            (tmp_path / file["name"]).write_bytes((store.root / "blobs/sha256" / file["sha256"]).read_bytes())
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        where = {"directory": str(tmp_path)}
    told = said(netboot_test_boot, check_mode=True, channel="lab", qemu="/nonexistent/qemu", **where)
    assert (told["changed"], told["skipped"], told["image_id"]) == (False, True, "one")
    real = said(netboot_test_boot, channel="lab", qemu="/nonexistent/qemu", **where)
    assert real["failed"]
    assert "there is no /nonexistent/qemu on this host" in real["msg"]
    assert "nothing was booted" in real["msg"]


def test_an_image_that_is_not_there_is_not_booted(said: Said, store: Store) -> None:
    told = said(netboot_test_boot, channel="lab", root=str(store.root), image_id="two")
    assert told["failed"]
    assert "two" in told["msg"]
