# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An iPXE that was built with imgtrust and imgverify boots a signed channel, and nothing else.

No distribution has such an iPXE, so NIXMETAL_TEST_TRUSTING_IPXE names a directory with one: ipxe.lkrn, and ca.crt and ca.key of
the authority that it was built to trust. docs/signatures.md says how to build it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from authority import Issued, issue, read_pair
from ipxe_machine import Machine
from small_image import put_image
from web_server import WebServer

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.cms import Signer, sign_digests
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import image_of
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Writer, switch

TRUSTING = os.environ.get("NIXMETAL_TEST_TRUSTING_IPXE", "")
IMAGE = "0ab1cdfghijklmnpqrsvwxyz01234567-small-image"
SECONDS = 100
REFUSAL = "was not booted, next try"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not TRUSTING,
        reason="*** SIGNATURES ARE NOT TRIED WITH iPXE: NIXMETAL_TEST_TRUSTING_IPXE names no build of it ***",
    ),
]


def publish(root: Path, base_url: str, own: Issued, authority: Issued, *, signed: bool = True) -> None:
    (root.parent / "chain.pem").write_bytes(own.pem + authority.pem)
    (root.parent / "key.pem").write_bytes(own.key_pem())
    manifest = check_manifest(put_image(root, IMAGE), "manifest")
    choice = image_of(manifest, Settings("stable", base_url, "relative", (), signed))
    digests = switch(Writer(str(root), dry_run=True), "stable", choice).to_sign
    signatures = sign_digests(Signer(str(root.parent / "chain.pem"), str(root.parent / "key.pem")), digests)
    switch(Writer(str(root), signed=digests, signatures=signatures), "stable", choice)


class Wish(NamedTuple):
    """How what is published differs from what a machine accepts."""

    own: Issued | None = None
    change: Callable[[Path], object] = lambda _root: None
    signed: bool = True


def boot(directory: Path, until: str, wish: Wish) -> str:
    """The console of a machine that boots what was published and then changed."""
    authority = read_pair(Path(TRUSTING) / "ca.crt", Path(TRUSTING) / "ca.key")
    own = wish.own or issue("netboot code", authority, code_signing=True)
    root = directory / "web"
    with WebServer(directory / "nginx", root) as web:
        base_url = f"http://10.0.2.2:{web.port}"
        publish(root, base_url, own, authority, signed=wish.signed)
        wish.change(root)
        url = f"{base_url}/stable/netboot.ipxe"
        return Machine(directory / "machine", Path(TRUSTING) / "ipxe.lkrn", boot_url=url).boot(until, SECONDS)


def flip(path: Path) -> None:
    """Change one bit at the end."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def blob(root: Path, role: str) -> Path:
    files = put_image(root, IMAGE)["files"]
    return root / "blobs/sha256" / str(next(file["sha256"] for file in files if file["role"] == role))


def test_a_signed_release_boots(tmp_path: Path) -> None:
    console = boot(tmp_path, "the image runs: .*", Wish())
    assert f"nixmetal.image={IMAGE}" in console.partition("the image runs: ")[2], console


CHANGES: dict[str, Callable[[Path], object]] = {
    "the kernel": lambda root: flip(blob(root, "kernel")),
    "the first initrd": lambda root: flip(blob(root, "initrd")),
    "a signature": lambda root: flip(root / "stable/kernel.sig"),
    "the script": lambda root: flip(root / "stable/netboot.ipxe"),
    "no signature": lambda root: (root / "stable/initrd-00-base.sig").unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_tampered_with_does_not_boot(tmp_path: Path, what: str) -> None:
    console = boot(tmp_path, REFUSAL, Wish(change=CHANGES[what]))
    assert REFUSAL in console, console
    assert "the image runs" not in console
    assert ("ipxe.org/2d0c61" if what == "no signature" else "Could not verify") in console


def test_an_unsigned_release_does_not_boot(tmp_path: Path) -> None:
    console = boot(tmp_path, REFUSAL, Wish(signed=False))
    assert "the image runs" not in console, console


def test_what_another_authority_signed_does_not_boot(tmp_path: Path) -> None:
    stranger = issue("stranger", authority=True)
    console = boot(tmp_path, REFUSAL, Wish(issue("code", stranger, code_signing=True)))
    assert "the image runs" not in console, console
    assert "Could not verify" in console
