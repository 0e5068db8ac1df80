# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification finds each kind of damage; inspection and export tell and copy what is there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.export import export
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.inspect import channel_names, inspect_channel
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings, load_release
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import publish
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify

if TYPE_CHECKING:
    from .conftest import Store


def published(store: Store, image_id: str, channel: str = "lab") -> str:
    root = str(store.root)
    store.image(image_id, kernel=b"kernel of " + image_id.encode(), initrd_00=b"root", segment_00=b"a segment")
    settings = Settings(channel, "http://web", "relative", ("panic=1",))
    return publish(root, staged_manifest(root, image_id), settings, False, 1).release.release_id


def blob(root: Path, number: int) -> Path:
    manifest = json.loads((root / "lab" / "manifest.json").read_text())
    return root / "blobs" / "sha256" / manifest["files"][number]["sha256"]


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def lead_nowhere(root: Path) -> None:
    (root / "lab").unlink()
    (root / "lab").symlink_to(f"releases/lab/{'0' * 32}")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte": (lambda root: overwrite(blob(root, 1), b"ruut"), "the blob .* was read as .*: it is damaged"),
    "a missing blob": (
        lambda root: blob(root, 2).unlink(),
        "the blob .* of segment-00 of release .* is not in the store",
    ),
    "a changed script": (lambda root: overwrite(root / "lab" / "netboot.ipxe", b"#!ipxe\n"), "is damaged: its name"),
    "a lost manifest": (lambda root: (root / "lab" / "manifest.json").unlink(), "is damaged: its name"),
    "a link to nothing": (lead_nowhere, "the channel lab leads to the release 0{32}, which is not in the store"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(store: Store, damage: str) -> None:
    published(store, "one")
    whole = verify(str(store.root))
    assert (whole.blobs, whole.releases, whole.problems) == (3, 1, [])
    work, words = DAMAGES[damage]
    work(store.root)
    problems = verify(str(store.root)).problems
    assert len(problems) == 1
    assert re.search(words, problems[0])


def test_what_a_channel_is_told_to_be(store: Store) -> None:
    first, second = published(store, "one"), published(store, "two")
    published(store, "three", "canary")
    (store.root / "other").symlink_to("/etc")
    assert channel_names(str(store.root)) == ["canary", "lab"]
    told = inspect_channel(str(store.root), "lab")
    assert (told["release_id"], told["image_id"], told["previous_release_id"]) == (second, "two", first)
    assert [release["release_id"] for release in told["releases"]] == [second, first]
    assert told["releases"][0]["command_line"].endswith("quiet panic=1")
    assert [entry["image_id"] for entry in told["history"]] == ["one", "two"]


def test_an_exported_release_is_an_image_directory(store: Store, tmp_path: Path) -> None:
    release = load_release(str(store.root), "lab", published(store, "one"))
    dest = tmp_path / "stick" / "image"
    assert export(str(store.root), release, str(dest), True).changed is True
    assert not dest.exists()
    assert export(str(store.root), release, str(dest), False).changed is True
    assert {path.name for path in dest.iterdir()} == {
        "manifest.json",
        "netboot.ipxe",
        "kernel",
        "initrd-00",
        "segment-00",
    }
    assert (dest / "kernel").read_bytes() == b"kernel of one"
    assert os.stat(dest / "kernel").st_nlink == 1
    assert json.loads((dest / "manifest.json").read_text()) == release.manifest.document
    script = (dest / "netboot.ipxe").read_text().splitlines()
    assert script[2] == f"kernel --name kernel kernel {release.command_line} ${{cmdline}}"
    assert script[3:] == ["initrd --name initrd-00 initrd-00", "boot"]
    assert export(str(store.root), release, str(dest), False).changed is False
    (dest / "kernel").write_bytes(b"kernel of two")
    with pytest.raises(NetbootError, match="is there already and is not the release"):
        export(str(store.root), release, str(dest), False)


def test_a_damaged_blob_is_not_exported(store: Store, tmp_path: Path) -> None:
    release = load_release(str(store.root), "lab", published(store, "one"))
    overwrite(blob(store.root, 1), b"ruut")
    with pytest.raises(NetbootError, match="initrd-00 has the wrong digest"):
        export(str(store.root), release, str(tmp_path / "image"), False)
    assert not (tmp_path / "image").exists()
