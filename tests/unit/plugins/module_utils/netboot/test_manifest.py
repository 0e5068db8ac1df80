# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manifest is read strictly; what is wrong is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import manifest as manifest_module
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest, read_manifest

GOOD: dict[str, Any] = {
    "schema": 1,
    "image_id": "abc-image",
    "system": "x86_64-linux",
    "kernel_params": [],
    "files": [
        {"name": "kernel", "role": "kernel", "size": 5, "sha256": "0" * 64},
        {
            "name": "initrd-00",
            "role": "initrd",
            "size": 7,
            "sha256": "1" * 64,
            "pieces": [{"size": 7, "sha256": "1" * 64}],
        },
    ],
}


def test_a_good_one() -> None:
    manifest = check_manifest(GOOD, "here")
    assert manifest.kernel.sha256 == "0" * 64
    assert [file.name for file in manifest.of_role("initrd")] == ["initrd-00"]
    assert manifest.size == 12
    assert manifest.document == GOOD


def test_the_release_of_another_channel_is_left_out() -> None:
    assert check_manifest({**GOOD, "release": {"channel": "canary"}}, "here").document == GOOD


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("schema",), 2, "schema is 2"),
        (("schema",), True, "schema is True"),
        (("schema",), 1.0, "schema is 1.0"),
        (("image_id",), "../etc", "image_id: "),
        (("image_id",), None, "image_id: "),
        (("system",), "", "system"),
        (("kernel_params",), "quiet", "kernel_params"),
        (("kernel_params",), [1], "kernel_params"),
        (("files",), {}, "files is not a list"),
        (("files",), [], "0 files of role kernel"),
        (("files", 1, "role"), "kernel", "2 files of role kernel"),
        (("files", 1, "role"), "segment", "no file of role initrd"),
        (("files", 1, "name"), "kernel", "two files are named kernel"),
        (("files", 0, "name"), "a b", "files[0]: name 'a b'"),
        (("files", 0, "name"), "../../etc/passwd", "files[0]: name"),
        (("files", 0, "role"), "dtb", "files[0] (kernel): role 'dtb'"),
        (("files", 0, "role"), ["kernel"], "files[0] (kernel): role"),
        (("files", 0, "size"), 0, "size 0"),
        (("files", 0, "size"), True, "size True"),
        (("files", 0, "size"), "5", "size '5'"),
        (("files", 0, "sha256"), "A" * 64, "sha256"),
        (("files", 0, "sha256"), "0" * 63, "sha256"),
        (("files", 0), "kernel", "files[0] is not a dictionary"),
    ],
)
def test_a_bad_one_says_where(path: tuple[Any, ...], value: object, words: str) -> None:
    document = copy.deepcopy(GOOD)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(NetbootError) as error:
        check_manifest(document, "here")
    assert str(error.value).startswith("here: ")
    assert words in str(error.value)


def test_the_name_that_the_boot_script_gives_to_the_kernel_is_no_other_files() -> None:
    kernel, initrd = GOOD["files"]
    with pytest.raises(NetbootError, match="a file of role initrd is named kernel"):
        check_manifest({**GOOD, "files": [{**kernel, "name": "vmlinuz"}, {**initrd, "name": "kernel"}]}, "here")


def test_more_files_than_a_stream_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "MAX_FILES", 1)
    with pytest.raises(NetbootError, match="files holds 2 entries"):
        check_manifest(GOOD, "here")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b'"x"'])
def test_what_is_no_manifest(text: bytes) -> None:
    with pytest.raises(NetbootError, match=r"^/web/manifest\.json"):
        read_manifest(text, "/web/manifest.json")
