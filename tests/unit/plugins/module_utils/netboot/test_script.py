# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of the script. That iPXE boots them is shown in the loop."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings, make_release

KERNEL, FIRST, SECOND, SEGMENT = ("0" * 64, "1" * 64, "2" * 64, "3" * 64)
DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "image_id": "abc-image",
    "system": "x86_64-linux",
    "kernel_params": ["quiet"],
    "files": [
        {"name": "kernel", "role": "kernel", "size": 1, "sha256": KERNEL},
        {"name": "initrd-00", "role": "initrd", "size": 1, "sha256": FIRST},
        {"name": "initrd-01", "role": "initrd", "size": 1, "sha256": SECOND},
        {"name": "root.squashfs", "role": "segment", "size": 1, "sha256": SEGMENT},
    ],
}


def script(url_style: str = "relative") -> list[str]:
    settings = Settings("lab", "http://web/net", url_style, ("console=ttyS0",))
    release = make_release(check_manifest(DOCUMENT, "manifest"), settings)
    return release.contents["netboot.ipxe"].decode().splitlines()


def test_it_loads_kernel_and_initrds_in_boot_order_and_no_segment() -> None:
    fetched = [line.split(" || ")[0] for line in script() if re.match("kernel|initrd", line)]
    assert fetched == [
        (
            f"kernel --timeout 60000 --name kernel ../blobs/sha256/{KERNEL} initrd=initrd-00 initrd=initrd-01 "
            "nixmetal.image=abc-image nixmetal.blobs=http://web/net/blobs/sha256 quiet console=ttyS0"
        ),
        f"initrd --timeout 60000 --name initrd-00 ../blobs/sha256/{FIRST}",
        f"initrd --timeout 60000 --name initrd-01 ../blobs/sha256/{SECOND}",
    ]


def test_absolute_urls() -> None:
    lines = script("absolute")
    assert not [line for line in lines if "../" in line]
    assert any(f" http://web/net/blobs/sha256/{KERNEL} " in line for line in lines)
    assert lines[-1] == "chain --replace --autofree --timeout 60000 http://web/net/lab/netboot.ipxe || goto try"


def test_it_says_what_it_boots_and_has_no_menu() -> None:
    lines = script()
    assert lines[0] == "#!ipxe"
    assert "echo nixmetal: image abc-image" in lines
    assert any(re.fullmatch("echo nixmetal: release [0-9a-f]{32}", line) for line in lines)
    assert not [line for line in lines if re.match("prompt|menu|shell|login|sanboot|exit", line)]


@pytest.mark.parametrize("line", [line for line in script() if re.match("kernel|initrd|boot|chain", line)])
def test_every_step_that_can_fail_goes_on_to_the_retry(line: str) -> None:
    assert re.search(r"\|\| goto (failed|try)$", line)


def test_the_id_is_a_digest_over_manifest_and_script() -> None:
    image = check_manifest(DOCUMENT, "manifest")
    settings = Settings("lab", "http://web", "relative", ("a=b",))
    first = make_release(image, settings)
    assert make_release(image, settings) == first
    others = [
        settings._replace(channel="canary"),
        settings._replace(base_url="http://other"),
        settings._replace(url_style="absolute"),
        settings._replace(kernel_params=("a=c",)),
    ]
    assert len({make_release(image, other).release_id for other in others} | {first.release_id}) == 5
