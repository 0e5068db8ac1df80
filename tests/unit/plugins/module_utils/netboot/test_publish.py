# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Publishing: once, twice, another, and everything that stops it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.channels import active_release
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Publication, publish

if TYPE_CHECKING:
    from .conftest import Store

SETTINGS = Settings("lab", "http://web", "relative", ("console=ttyS0",))


def published(store: Store, image_id: str, *, dry_run: bool = False, **settings: Any) -> Publication:
    root = str(store.root)
    return publish(root, staged_manifest(root, image_id), SETTINGS._replace(**settings), dry_run, 0.3)


def tree(root: Path) -> dict[str, str]:
    """Every name below the root, with what it holds."""
    found = {}
    for path in sorted(root.rglob("*")):
        kind = f"-> {os.readlink(path)}" if path.is_symlink() else "directory"
        found[str(path.relative_to(root))] = path.read_text("latin-1") if path.is_file() and kind[0] != "-" else kind
    return found


def test_first_publication(store: Store) -> None:
    store.image("one")
    done = published(store, "one")
    folder = store.root / "lab"
    assert (done.changed, done.previous_release_id, done.before) == (True, None, {})
    assert done.url == "http://web/lab/netboot.ipxe"
    assert os.readlink(folder) == f"releases/lab/{done.release.release_id}"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["image_id"] == "one"
    assert manifest["release"] == {
        "channel": "lab",
        "base_url": "http://web",
        "url_style": "relative",
        "kernel_params": ["console=ttyS0"],
    }
    script = (folder / "netboot.ipxe").read_text()
    unnamed = script.replace(done.release.release_id, "0" * 32)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes() + unnamed.encode()).hexdigest()
    assert digest[:32] == done.release.release_id
    assert [entry["release_id"] for entry in store.history("lab")] == [done.release.release_id]


def test_what_is_served_can_be_read_by_a_web_server_and_the_rest_cannot(store: Store) -> None:
    store.image("one")
    old = os.umask(0o077)
    try:
        published(store, "one")
    finally:
        os.umask(old)
    served = [store.root / "releases", store.root / "releases" / "lab", (store.root / "lab").resolve()]
    assert {path.stat().st_mode & 0o777 for path in served} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in served[-1].iterdir()} == {0o644}
    hidden = [store.root / ".state" / "history", store.root / ".state" / "verified"]
    assert {path.stat().st_mode & 0o777 for path in hidden} == {0o700}


def test_the_second_time_nothing_changes(store: Store) -> None:
    store.image("one")
    published(store, "one")
    before = tree(store.root)
    assert published(store, "one").changed is False
    assert tree(store.root) == before


def test_check_mode_writes_nothing_and_answers_as_the_real_run(store: Store) -> None:
    store.image("one")
    before = tree(store.root)
    planned = published(store, "one", dry_run=True)
    assert tree(store.root) == before
    assert planned == published(store, "one")
    assert published(store, "one", dry_run=True).changed is False


def test_another_image_and_back(store: Store) -> None:
    store.image("one")
    store.image("two")
    first = published(store, "one")
    second = published(store, "two")
    assert second.previous_release_id == first.release.release_id
    assert second.before == first.after
    back = published(store, "one")
    assert back.changed is True
    assert [entry["image_id"] for entry in store.history("lab")] == ["one", "two", "one"]


def test_two_channels_share_blobs_and_keep_their_parameters(store: Store) -> None:
    store.image("one")
    published(store, "one")
    blobs = tree(store.root / "blobs")
    canary = published(store, "one", channel="canary", kernel_params=("debug",))
    assert tree(store.root / "blobs") == blobs
    assert canary.after["kernel_params"] == ["quiet", "debug"]
    assert os.readlink(store.root / "lab") != os.readlink(store.root / "canary")


def test_a_release_that_somebody_changed_is_put_right(store: Store) -> None:
    store.image("one")
    published(store, "one")
    script = store.root / "lab" / "netboot.ipxe"
    good = script.read_text()
    script.write_text("#!ipxe\nshell\n")
    (store.root / "lab" / "manifest.json").unlink()
    assert published(store, "one").changed is True
    assert script.read_text() == good
    assert published(store, "one").changed is False
    assert len(store.history("lab")) == 1


def test_verified_blobs_are_not_read_again_until_they_are_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store.image("one")["files"][1]
    published(store, "one")
    blob = store.root / "blobs" / "sha256" / entry["sha256"]
    times = blob.stat()
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "sha256", lambda *_: pytest.fail("a blob was read"))
        with pytest.raises(pytest.fail.Exception, match="a blob was read"):  # the release id needs a digest too
            published(store, "one")
    blob.chmod(0o644)
    blob.write_bytes(b"x" * entry["size"])
    os.utime(blob, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(NetbootError, match=r"initrd-00 has the wrong digest: .* Remove that blob and stream"):
        published(store, "one")


class Refused:
    """A refused publication leaves what is served as it was."""

    def __init__(self, store: Store, words: str, image_id: str = "two", **settings: Any) -> None:
        served = {name: what for name, what in tree(store.root).items() if not name.startswith(".state")}
        with pytest.raises(NetbootError, match=words):
            published(store, image_id, **settings)
        assert {name: what for name, what in tree(store.root).items() if not name.startswith(".state")} == served
        assert not (store.root / ".state" / "publishing").exists()


def test_an_image_that_was_not_staged(store: Store) -> None:
    Refused(store, r"no image two is staged .* Stream the image directory here first")


def test_a_staged_manifest_of_another_image(store: Store) -> None:
    store.image("one")
    os.rename(store.root / ".state" / "staging" / "one", store.root / ".state" / "staging" / "two")
    Refused(store, r"is the manifest of one, not of two")


def test_a_blob_that_is_not_there(store: Store) -> None:
    store.image("one")
    published(store, "one")
    for entry in store.image("two")["files"]:
        (store.root / "blobs" / "sha256" / entry["sha256"]).unlink()
    Refused(store, r"the blob of kernel and 1 more is not in the store: .* does not exist")
    assert [file.name for file in published(store, "two", dry_run=True).missing] == ["kernel", "initrd-00"]


def test_an_active_release_that_lost_a_blob(store: Store) -> None:
    entry = store.image("one")["files"][0]
    published(store, "one")
    (store.root / "blobs" / "sha256" / entry["sha256"]).unlink()
    Refused(store, r"the blob of kernel is not in the store", image_id="one")


def test_a_blob_with_a_wrong_size_and_one_with_a_wrong_digest(store: Store) -> None:
    store.image("one")
    published(store, "one")
    entry = store.image("two")["files"][1]
    blob = store.root / "blobs" / "sha256" / entry["sha256"]
    blob.chmod(0o644)
    blob.write_bytes(b"x" * (entry["size"] - 1))
    Refused(store, rf"initrd-00 has the wrong size: .* holds {entry['size'] - 1} bytes, .* says {entry['size']}")
    blob.write_bytes(b"x" * entry["size"])
    seen = hashlib.sha256(b"x" * entry["size"]).hexdigest()
    Refused(store, rf"initrd-00 has the wrong digest: .*{entry['sha256']} was read as {seen}")
    assert published(store, "one").changed is False


def test_a_channel_that_is_a_directory_or_somebody_elses_link(store: Store) -> None:
    store.image("two")
    (store.root / "lab").mkdir()
    Refused(store, r"lab is there and is not a link")
    (store.root / "lab").rmdir()
    (store.root / "lab").symlink_to("/etc")
    Refused(store, r"lab is a link to /etc, which is no release")


def test_a_channel_that_cannot_be_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "readlink", refuse)
    with pytest.raises(NetbootError, match=r"cannot look at the channel .*/lab: Permission denied\. .*become"):
        active_release(str(store.root), "lab")


def test_a_root_that_is_not_there(store: Store) -> None:
    store.image("one")
    manifest = staged_manifest(str(store.root), "one")
    with pytest.raises(NetbootError, match=r"root: the directory .* does not exist; role netboot_server makes it"):
        publish(str(store.root / "other"), manifest, SETTINGS, False, 1)
    foretold = publish(str(store.root / "other"), manifest, SETTINGS, True, 1)
    assert (foretold.changed, [file.name for file in foretold.missing]) == (True, ["kernel", "initrd-00"])
    assert not (store.root / "other").exists()


@pytest.mark.parametrize(
    "damage", ['{"files": [{}]}', '{"files": 3}', '{"release": []}', '{"release": {"kernel_params": 1}}', "[", "\xff"]
)
def test_a_damaged_active_release_does_not_stop_the_next(store: Store, damage: str) -> None:
    store.image("one")
    first = published(store, "one")
    manifest = store.root / "lab" / "manifest.json"
    good = json.loads(manifest.read_text())
    whole = damage[0] == "{"
    manifest.write_text(json.dumps({**good, **json.loads(damage)}) if whole else damage, encoding="latin-1")
    store.image("two")
    second = published(store, "two")
    assert (second.changed, second.before) == (True, {"release_id": first.release.release_id})


@pytest.mark.parametrize("name", ["manifest.json", "netboot.ipxe"])
def test_one_changed_file_of_the_active_release_is_put_right(store: Store, name: str) -> None:
    store.image("one")
    published(store, "one")
    path = store.root / "lab" / name
    good = path.read_bytes()
    path.write_bytes(good + b"# by hand\n")
    assert published(store, "one").changed is True
    assert path.read_bytes() == good
    assert published(store, "one").changed is False


def test_a_blob_that_is_written_to_while_it_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = store.root / "blobs" / "sha256" / store.image("two")["files"][0]["sha256"]
    real, looks = os.fstat, []

    def look(handle: int) -> os.stat_result:
        if os.readlink(f"/proc/self/fd/{handle}") == str(blob):
            looks.append(handle)
            if len(looks) == 2:
                os.utime(blob, (1, 1))
        return real(handle)

    monkeypatch.setattr(os, "fstat", look)
    Refused(store, r"was written to while it was read; run again when its writer has ended")


def test_a_new_blob_is_flushed_with_its_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync

    def flush(handle: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", flush)
    store.image("one")
    published(store, "one")
    blobs = store.root / "blobs" / "sha256"
    assert {str(blobs), *map(str, blobs.iterdir())} <= set(flushed)


@pytest.mark.parametrize(
    ("number", "words"),
    [(28, r"the file system of .* is full: No space left"), (30, r"root: cannot write to .*: Read-only file system")],
)
def test_an_error_of_the_file_system(store: Store, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    store.image("one")
    published(store, "one")
    store.image("two")

    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    Refused(store, words)
    monkeypatch.undo()
    assert published(store, "one").changed is False


def test_a_store_that_another_writes_to(store: Store) -> None:
    store.image("one")
    published(store, "one")
    store.image("two")
    with open(store.root / ".state" / "lock", "r+", encoding="ascii") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        Refused(store, r"another process still writes to the store .* after 0.3 s")
    assert published(store, "two").changed is True
