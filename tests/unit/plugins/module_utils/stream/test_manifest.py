# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests: the honest ones are read, the hostile ones are refused with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nixmetal.builders.plugins.module_utils.stream import limits, manifest, tree
from ansible_collections.nixmetal.builders.plugins.module_utils.stream.errors import ManifestError

DIGEST = "ab" * 32
OTHER = "cd" * 32


def image(**changes):
    document = {
        "schema": 1,
        "image_id": "0123-image",
        "system": "x86_64-linux",
        "kernel_params": [],
        "files": [
            {"name": "kernel", "role": "kernel", "size": 5, "sha256": DIGEST},
            {"name": "initrd-00", "role": "initrd", "size": 3, "sha256": OTHER},
        ],
    }
    document.update(changes)
    return document


def file(**changes):
    return {"name": "initrd-01", "role": "initrd", "size": 5, "sha256": "ef" * 32, **changes}


def test_an_honest_manifest_is_read():
    found = manifest.read_image(json.dumps(image()))
    assert found.image_id == "0123-image"
    assert [entry.name for entry in found.entries] == ["kernel", "initrd-00"]
    assert found.size == 8


def test_a_manifest_may_say_more_than_this_version_knows():
    assert manifest.read_image(json.dumps(image(squashfs={"blocks": 7}))).size == 8


def test_the_same_contents_are_counted_once():
    files = [file(name="initrd-01"), file(name="initrd-02")]
    assert manifest.read_image(json.dumps(image(files=files))).size == 5


def test_pieces_are_read():
    pieces = [{"size": 2, "sha256": DIGEST}, {"size": 3, "sha256": OTHER}]
    found = manifest.read_image(json.dumps(image(files=[file(pieces=pieces)])))
    assert [piece.size for piece in found.entries[0].pieces] == [2, 3]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "not a dictionary"),
        (image(schema=2), "schema is 2"),
        (image(schema=True), "schema is True"),
        (image(schema=1.0), r"schema is 1\.0"),
        (image(files=[file(size=0)]), "size 0, and no file of an image is empty"),
        (image(files=[file(name="kernel")]), "a file of role initrd is named kernel"),
        (image(image_id="../../etc"), "image_id '../../etc'"),
        (image(image_id=7), "image_id 7"),
        (image(files=None), "files is not a list"),
        (image(files=[]), "names no file"),
        (image(files=["kernel"]), r"files\[0\] is not a dictionary"),
        (image(files=[file(name="../kernel")]), "name '../kernel'"),
        (image(files=[file(name="/etc/passwd")]), "name '/etc/passwd'"),
        (image(files=[file(name=".state")]), "name '.state'"),
        (image(files=[file(name="a\0b")]), "name 'a"),
        (image(files=[file(name="")]), "name ''"),
        (image(files=[file(name=["kernel"])]), "name "),
        (image(files=[file(role="link")]), "role 'link'"),
        (image(files=[file(role=["kernel"])]), "role "),
        (image(files=[file(size=-1)]), "size -1"),
        (image(files=[file(size=True)]), "size True"),
        (image(files=[file(size=1.5)]), "size 1.5"),
        (image(files=[file(size="5")]), "size '5'"),
        (image(files=[file(size=1 << 60)]), "size 1152921504606846976"),
        (image(files=[file(sha256=DIGEST.upper())]), "sha256 'ABAB"),
        (image(files=[file(sha256="../" + DIGEST[3:])]), "sha256"),
        (image(files=[file(), file(sha256=OTHER)]), "two files are named initrd-01"),
        (image(files=[file(), file(name="initrd-02", size=6)]), "digest of a file of another size"),
        (image(files=[file(pieces=[{"size": 4, "sha256": DIGEST}])]), "do not fill the file"),
        (image(files=[file(pieces={"size": 5})]), "pieces is not a list"),
        (image(files=[file(pieces=[5])]), r"pieces\[0\] is not a dictionary"),
    ],
)
def test_what_is_wrong_is_named(document, reason):
    with pytest.raises(ManifestError, match=reason):
        manifest.read_image(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"schema": 1, "schema": 1}', "stands twice"),
        ('{"schema": ' + "9" * 5000 + "}", "more than 20 digits"),
        ('{"schema": NaN}', "NaN is not a number"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_text_that_no_honest_maker_writes(text, reason):
    with pytest.raises(ManifestError, match=reason):
        manifest.read_image(text)


def test_too_much_of_anything_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_FILES", 1)
    with pytest.raises(ManifestError, match="at most 1"):
        manifest.read_image(json.dumps(image()))
    monkeypatch.setattr(limits, "MAX_MANIFEST", 10)
    with pytest.raises(ManifestError, match="more than 10"):
        manifest.read_image(json.dumps(image()))


def directory(files=(), directories=()):
    return json.dumps({"schema": 1, "layout": "directory", "directories": list(directories), "files": list(files)})


def plain(name, **changes):
    return {"name": name, "size": 1, "sha256": DIGEST, "mode": 0o644, **changes}


def folder(name, mode=0o755):
    return {"name": name, "mode": mode}


def test_a_directory_is_read():
    found = tree.read_tree(directory([plain("a/b"), plain("c")], [folder("a"), folder("a/d")]))
    assert [entry.name for entry in found.entries] == ["a/b", "c"]
    assert found.directories == (("a", 0o755), ("a/d", 0o755))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (directory([plain("../x")]), "'../x' is not a path below"),
        (directory([plain("/x")]), "'/x' is not a path below"),
        (directory([plain("a//x")], [folder("a")]), "'a//x' is not a path below"),
        (directory([plain("a/../x")], [folder("a")]), "is not a path below"),
        (directory([plain("./x")]), "is not a path below"),
        (directory([plain("x/")]), "is not a path below"),
        (directory([plain("x\0y")]), "zero byte"),
        (directory([plain("x" * 256)]), "is not a path below"),
        (directory([plain("\udc80")]), "not UTF-8"),
        (directory([plain("a"), plain("a", sha256=OTHER)]), "two files are named a"),
        (directory([plain("a")], [folder("a")]), "a is a file and a directory"),
        (directory([plain("a"), plain("a/b")]), "the directory that holds a/b"),
        (directory([plain("a/b")]), "the directory that holds a/b is not named"),
        (directory([], [folder("a/b"), folder("a")]), "the directory that holds a/b is not named before it"),
        (directory([], [folder("a"), folder("a")]), "named twice"),
        (directory([plain("a", mode=0o4755)]), "mode 2541"),
        (directory([plain("a", mode=-1)]), "mode -1"),
        (directory([plain("a", mode=None)]), "mode None"),
        (directory([plain("/".join("a" * 70))]), "is too long, too deep"),
        (json.dumps(image()), "not that of a plain directory"),
    ],
)
def test_what_is_wrong_with_a_directory_is_named(text, reason):
    with pytest.raises(ManifestError, match=reason):
        tree.read_tree(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([DIGEST, "kernel", ".."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CALM = {"deadline": None, "max_examples": 100, "suppress_health_check": [HealthCheck.too_slow]}
FIELDS = ["schema", "image_id", "files", "layout", "directories", "name", "role", "size", "sha256", "pieces", "mode"]


@settings(**CALM)
@given(
    st.dictionaries(st.sampled_from(FIELDS), VALUES), st.dictionaries(st.sampled_from(FIELDS), VALUES), st.booleans()
)
def test_whatever_is_written_is_read_or_refused(outer, inner, as_directory):
    document = {**(json.loads(directory([plain("a")])) if as_directory else image())}
    document["files"] = [{**document["files"][0], **inner}]
    document.update(outer)
    text = json.dumps(document)
    try:
        found = tree.read_tree(text) if as_directory else manifest.read_image(text)
    except ManifestError:
        return
    for entry in found.entries:
        assert not entry.name.startswith(("/", "."))
        assert ".." not in entry.name.split("/")
        assert 0 <= entry.size <= limits.MAX_SIZE


@settings(**CALM)
@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_reason(text):
    with pytest.raises(ManifestError):
        manifest.read_image(text)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("MAX_FILES", "files is not a list of at most 1"),
        ("MAX_PIECES", "pieces is not a list of at most 1"),
        ("MAX_SIZE", "is not a number of bytes up to 1"),
    ],
)
def test_more_than_anybody_needs_is_refused(monkeypatch, limit, reason):
    pieces = [{"size": 2, "sha256": DIGEST}, {"size": 3, "sha256": OTHER}]
    files = [file(pieces=pieces)] if limit == "MAX_PIECES" else image()["files"]
    monkeypatch.setattr(limits, limit, 1)
    with pytest.raises(ManifestError, match=reason):
        manifest.read_image(json.dumps(image(files=files)))


@pytest.mark.parametrize(
    ("limit", "number", "reason"),
    [
        ("MAX_FILES", 2, "more than 2 files"),
        ("MAX_PIECES", 3, "more than 3 pieces"),
        ("MAX_SIZE", 9, "more than 9 bytes together"),
    ],
)
def test_all_files_together_have_limits_too(monkeypatch, limit, number, reason):
    pieces = tuple(manifest.Piece(1, DIGEST) for _number in range(2))
    entries = tuple(manifest.Entry(name, 5, name * 64, pieces=pieces) for name in "ab")
    monkeypatch.setattr(limits, limit, number)
    with pytest.raises(ManifestError, match=reason):
        manifest.check(manifest.Manifest("directory", "", entries, (("d", 0o755),), ""))
