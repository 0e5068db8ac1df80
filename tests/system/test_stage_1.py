# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab image's stage 1, in virtual machines of its own: a segment that is not the named one, a directory that was only copied."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lab_driver import Built, Lab

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.errors import NetbootError
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot import boot
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.machine import (
    HOST_ADDRESS,
    Hardware,
    Machine,
    make_console,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.test_boot.receiver import Receiver

HARDWARE = Hardware("qemu-system-x86_64", memory_mb=512, cores=1, acceleration="tcg")
SECONDS = 240


@pytest.fixture
def image(lab: Lab, built: Built) -> Path:
    """The image directory, in the build host's root."""
    link = "$(find /nix/var/nix/gcroots/nixmetal -name 'lab-x86_64-linux' -type l)"
    return lab.directory / "roots/build" / lab.build_host(f"readlink -f {link}").stdout.strip().lstrip("/")


def test_a_tampered_segment_is_refused_and_the_console_says_why(image: Path, tmp_path: Path) -> None:
    manifest, files = boot.from_directory(str(image))
    segment = next(file for file in manifest.files if file.name == "90-settings.squashfs")
    content = (image / segment.name).read_bytes()
    tampered = tmp_path / "tampered"
    tampered.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    trial = boot.Trial(manifest, "tampered", (), files | {segment.sha256: str(tampered)})
    with pytest.raises(NetbootError, match="ended before it was ready"):
        boot.boot(trial, HARDWARE, str(tmp_path / "console.log"), SECONDS)
    console = (tmp_path / "console.log").read_text(errors="replace").replace("\r", "")
    others = [file for file in manifest.files if file.role == "segment" and file != segment]
    for file in others:
        assert f"fetch-segments: {file.name}: {file.size} bytes, verified" in console
    assert f"fetch-segments: {segment.name} is refused: http://{HOST_ADDRESS}:" in console
    assert f" instead of {segment.sha256}\n" in console
    assert "stage 1: the segments are not here; starting over in 5 seconds" in console
    assert "stage 2" not in console


@pytest.mark.long
def test_a_directory_that_was_only_copied_boots(image: Path, tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    make_console(str(console))
    with Receiver() as receiver:
        base_url = f"http://{HOST_ADDRESS}:{receiver.port}"
        words = f"console=ttyS0 panic=-1 nixmetal.metadata={base_url}/metadata"
        receiver.texts["/begin.ipxe"] = f"#!ipxe\nset cmdline {words}\nchain copied/netboot.ipxe\n".encode()
        receiver.files = {f"/copied/{path.name}": str(path) for path in image.iterdir()}
        receiver.start()
        machine = Machine(HARDWARE, f"{base_url}/begin.ipxe", str(console))
        try:
            deadline = time.monotonic() + SECONDS
            while not receiver.ready.is_set():
                assert not machine.ended(), console.read_text(errors="replace")[-3000:]
                assert time.monotonic() < deadline, console.read_text(errors="replace")[-3000:]
                time.sleep(0.1)
        finally:
            machine.stop()
            receiver.shutdown()
        assert receiver.report is not None
        assert receiver.report.image_id == image.name
