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
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status import Wanted, write_status
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.status_page import render_page
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import publish
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.verify import verify
from ansible_collections.nixmetal.builders.plugins.modules import netboot_release_info

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


def test_a_link_out_of_its_channel_is_told_and_hides_no_other(store: Store) -> None:
    published(store, "one"), published(store, "two", "canary")
    (store.root / "lab").unlink()
    (store.root / "lab").symlink_to(f"releases/canary/{'0' * 32}")
    told = netboot_release_info.run({"root": str(store.root), "channel": None, "verify": True})
    assert [channel["image_id"] for channel in told["channels"]] == ["two", None]
    words = "is a link to releases/canary/0{32}, which is no release of the channel lab"
    assert told["channels"][0]["problem"] is None
    assert re.search(words, told["channels"][1]["problem"])
    assert len(told["verification"]["problems"]) == 1
    page = render_page(write_status(Wanted(str(store.root)), dry_run=False).document)
    assert re.search(f"nothing: .*{words}", page)


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
    # As nix/lib/netboot-script.sh writes it, and not from the channel's web root: the segments lie beside the script.
    assert "nixmetal.blobs=http://web/blobs/sha256" in release.command_line
    line = release.command_line.replace("nixmetal.blobs=http://web/blobs/sha256 ", "")
    assert script[2:] == [
        "isset ${cwuri} && set segments nixmetal.script=${cwuri} ||",
        f"kernel --name kernel kernel ${{segments}} {line} ${{cmdline}}",
        "initrd --name initrd-00 initrd-00",
        "isset ${cwuri} && goto boot ||",
        "initrd segment-00 /segments/segment-00",
        ":boot",
        "boot",
    ]
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
