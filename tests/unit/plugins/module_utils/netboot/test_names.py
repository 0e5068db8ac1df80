# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and addresses that would leave their place."""

from __future__ import annotations

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.names import (
    check_base_url,
    check_channel,
    check_image_id,
)


@pytest.mark.parametrize("name", ["hydra-x86_64-linux", "hydra-x86_64-linux--canary", "lab.1", "A" * 100])
def test_channels(name: str) -> None:
    assert check_channel(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "blobs",
        "releases",
        ".state",
        "..",
        ".",
        "a/b",
        "/a",
        "a b",
        "a\n",
        "-a",
        "\u00e4",
        "a?b",
        "a%2e",
        "A" * 101,
        "${x}",
    ],
)
def test_no_channels(name: str) -> None:
    with pytest.raises(NetbootError, match=r"^channel: "):
        check_channel(name)


@pytest.mark.parametrize("image_id", ["", "..", "a/b", "a b", ".a", "a?b", "a\n", None, 3, "x" * 212])
def test_no_image_ids(image_id: object) -> None:
    with pytest.raises(NetbootError, match=r"^image_id: "):
        check_image_id(image_id)


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://10.213.77.11", "http://10.213.77.11"),
        ("https://netboot.example.org/", "https://netboot.example.org"),
        ("http://[2001:db8::1]:8080/net/boot/", "http://[2001:db8::1]:8080/net/boot"),
        ("http://h", "http://h"),
    ],
)
def test_base_urls(url: str, used: str) -> None:
    assert check_base_url(url) == used


@pytest.mark.parametrize(
    "url",
    [
        "",
        "netboot.example.org",
        "ftp://h",
        "http://",
        "http:///x",
        "http://user:secret@h",
        "http://h/?a=b",
        "http://h/#a",
        "http://h/a b",
        "http://h/${mac}",
        "http://h/a/../b",
        "http://h//a",
        "http://h/\n",
        "http://-h",
    ],
)
def test_no_base_urls(url: str) -> None:
    with pytest.raises(NetbootError, match=r"^base_url: "):
        check_base_url(url)


def test_a_password_in_a_base_url_is_not_shown() -> None:
    with pytest.raises(NetbootError) as error:
        check_base_url("http://user:sec@ret@host/")
    assert "ret" not in str(error.value)
    assert "http://***@host/" in str(error.value)
