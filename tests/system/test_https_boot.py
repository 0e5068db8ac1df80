# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian 13's unchanged iPXE boots a published channel over HTTPS from nginx, and does not boot with a certificate that is not right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from authority import Issued, issue, write_pair
from cryptography.hazmat.primitives.serialization import Encoding
from ipxe_machine import Machine
from small_image import debian_13_ipxe, put_image
from web_server import WebServer

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.manifest import check_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import publish

IMAGE = "0ab1cdfghijklmnpqrsvwxyz01234567-small-image"
SECONDS = 100
ROOT = issue("The Tests' Root", authority=True)
MIDDLE = issue("The Tests' R1", ROOT, authority=True)


def boot(directory: Path, chain: list[Issued], until: str) -> tuple[str, str]:
    """The console, and nginx's access log."""
    root = directory / "web"
    manifest = check_manifest(put_image(root, IMAGE), "manifest")
    write_pair(directory / "acme", chain)
    with WebServer(directory / "nginx", root, directory / "acme") as web:
        base_url = f"https://10.0.2.2:{web.tls_port}"
        publish(str(root), manifest, Settings("stable", base_url, "relative", ()), False, 5)
        url = f"{base_url}/stable/netboot.ipxe"
        script = f"#!ipxe\ndhcp net0\nchain {url} || echo it did not come\nsleep 60\n"
        machine = Machine(directory / "machine", debian_13_ipxe(), script)
        console = machine.boot(until, SECONDS, ROOT.certificate.public_bytes(Encoding.DER))
        return console, web.requests


def test_a_channel_boots_over_https(tmp_path: Path) -> None:
    web = issue("web", MIDDLE, names=("10.0.2.2",))
    console, requests = boot(tmp_path, [web, MIDDLE, ROOT], "the image runs: .*")
    assert f"nixmetal.image={IMAGE}" in console.partition("the image runs: ")[2], console
    assert "1.21.1+git20250501" in console
    assert requests.count('"status":200') == 3
    assert '"agent":"iPXE/1.21.1+git20250501' in requests


# With the number under which ipxe.org explains the refusal.
REFUSED: dict[str, tuple[Callable[[], list[Issued]], str]] = {
    "a chain without its root": (lambda: [issue("web", MIDDLE, names=("10.0.2.2",)), MIDDLE], "0216eb"),
    "a wrong order": (lambda: [issue("web", MIDDLE, names=("10.0.2.2",)), ROOT, MIDDLE], "0216e1"),
    "an expired certificate": (
        lambda: [issue("web", MIDDLE, names=("10.0.2.2",), days=(-9, -1)), MIDDLE, ROOT],
        "0216e4",
    ),
    "another name": (lambda: [issue("web", MIDDLE, names=("192.0.2.1",)), MIDDLE, ROOT], "0216ea"),
    "an elliptic key": (lambda: [issue("web", MIDDLE, names=("10.0.2.2",), elliptic=True), MIDDLE, ROOT], "410de1"),
    "another root": (
        lambda: [issue("web", stranger := issue("X", authority=True), names=("10.0.2.2",)), stranger],
        "0216eb",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("what", REFUSED)
def test_what_ipxe_refuses(tmp_path: Path, what: str) -> None:
    chain, number = REFUSED[what]
    console, requests = boot(tmp_path, chain(), "it did not come")
    assert "it did not come" in console, console
    assert f"ipxe.org/{number}" in console.replace("\n", "")
    assert '"status":200' not in requests
