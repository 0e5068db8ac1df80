# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reaches the kernel, and what is refused because it would not."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.command_line import command_line
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import Manifest, check_manifest

BLOBS = "http://web/blobs/sha256"


def manifest(*kernel_params: str, system: str = "x86_64-linux", segment: bool = False) -> Manifest:
    roles = ["kernel", "initrd", "initrd"] + ["segment"] * segment
    document: dict[str, Any] = {
        "schema": 1,
        "image_id": "abc-image",
        "system": system,
        "kernel_params": list(kernel_params),
        "files": [{"name": f"{r}{i}", "role": r, "size": 1, "sha256": f"{i:064x}"} for i, r in enumerate(roles)],
    }
    return check_manifest(document, "manifest")


def test_the_order_lets_the_channel_win_over_the_image() -> None:
    line = command_line(manifest("quiet", "loglevel=4"), ("loglevel=7",), BLOBS)
    assert line == "initrd=initrd1 initrd=initrd2 nixmetal.image=abc-image quiet loglevel=4 loglevel=7"


def test_segments_bring_the_address_of_the_blobs() -> None:
    assert f" nixmetal.blobs={BLOBS} " in command_line(manifest("quiet", segment=True), (), BLOBS)


@pytest.mark.parametrize(
    "parameter", ['dyndbg="file a.c +p; file b.c +p"', '"foo=a b"', "a=b#c", "x=$y", "ip=::::h:eth0:dhcp"]
)
def test_what_the_kernel_can_read_is_taken(parameter: str) -> None:
    assert command_line(manifest(), (parameter,), BLOBS).endswith(" " + parameter)


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("", "printable ASCII"),
        ("a\nb", "printable ASCII"),
        ("caf\u00e9", "printable ASCII"),
        ("a=${net0/mac}", "'${'"),
        ("initrd=other", "release itself"),
        ("nixmetal.image=x", "release itself"),
        ("nixmetal.blobs=http://evil", "release itself"),
        ('a="b', "partner"),
        ("a b", "more than one parameter"),
        ('a="b  c"', "two in a row"),
        (" a", "begins or ends with a space"),
        ("#a", "comment"),
        ("||", "end of a command"),
        ('a="x && y"', "end of a command"),
        ("a\\", "backslash"),
    ],
)
@pytest.mark.parametrize("origin", ["manifest", "kernel_params"])
def test_what_ipxe_would_change_is_refused(parameter: str, reason: str, origin: str) -> None:
    image, channel = ((parameter,), ()) if origin == "manifest" else ((), (parameter,))
    with pytest.raises(NetbootError) as error:
        command_line(manifest(*image), channel, BLOBS)
    assert str(error.value).startswith(origin)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("system", "limit"), [("x86_64-linux", 2048), ("aarch64-linux", 2048), ("riscv64-linux", 1024)]
)
def test_the_length_that_the_kernel_reads_is_kept(system: str, limit: int) -> None:
    empty = command_line(manifest(system=system), ("a=",), BLOBS)
    room = limit - 1 - len("kernel ") - len(empty)
    assert command_line(manifest(system=system), ("a=" + "x" * room,), BLOBS)
    with pytest.raises(NetbootError, match=f"takes {limit + 1} bytes .* reads {limit}"):
        command_line(manifest(system=system), ("a=" + "x" * (room + 1),), BLOBS)
