# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The iPXE script of a release.

It names its blobs by digest, so a boot never mixes two releases. When a fetch fails it frees what it has and asks for
the channel's script again after a wait that doubles from 2 to 32 seconds: a machine that nobody watches neither stops
at a prompt nor goes on to its disk, and it gets the release that is active by then. The commands are those of iPXE's
default build (Debian 12's 1.21 and later).

For UEFI each initrd is named on the command line (`initrd=NAME`, read by the kernel's EFI stub through iPXE's file
system); newer iPXE hands the joined initrds over itself, and BIOS boots join them in the order of the lines.
"""

from __future__ import annotations

from typing import NamedTuple

from .manifest import ImageFile, Manifest
from .names import KERNEL_NAME

# A fetch that makes no progress for so long is given up (milliseconds).
STALL_LIMIT = 60000
# Stands for the release id, which is a digest over the script, while that digest is computed.
NO_RELEASE_ID = "0" * 32
SCRIPT_NAME = "netboot.ipxe"
SIGNATURE_ENDING = ".sig"


class Addresses(NamedTuple):
    """Where the script finds things: absolute, or relative to BASE_URL/<channel>/netboot.ipxe."""

    blobs: str
    script: str
    releases: str

    def blob(self, file: ImageFile) -> str:
        """The address of one file's contents."""
        return f"{self.blobs}/{file.sha256}"

    def signature(self, channel: str, release_id: str, name: str) -> str:
        """The address of a file's signature, in the release itself, so that it never is another release's."""
        return f"{self.releases}/{channel}/{release_id}/{name}{SIGNATURE_ENDING}"


def blobs_url(base_url: str) -> str:
    """The absolute address of the blobs, for what runs after iPXE."""
    return f"{base_url}/blobs/sha256"


def channel_url(base_url: str, channel: str) -> str:
    """What a machine boots."""
    return f"{base_url}/{channel}/{SCRIPT_NAME}"


def addresses(base_url: str, channel: str, url_style: str) -> Addresses:
    """The addresses in the asked style."""
    if url_style == "absolute":
        return Addresses(blobs_url(base_url), channel_url(base_url, channel), f"{base_url}/releases")
    return Addresses("../blobs/sha256", SCRIPT_NAME, "../releases")


class Wording(NamedTuple):
    """What the script says beside the names and sizes of the image's files."""

    channel: str
    command_line: str
    where: Addresses
    signed: bool


def render(manifest: Manifest, release_id: str, wording: Wording) -> bytes:
    """The script's bytes."""
    channel, line, where, signed = wording
    fetch = f"--timeout {STALL_LIMIT}"

    def verified(name: str) -> str:
        address = where.signature(channel, release_id, name)
        return f"\nimgverify {fetch} {name} {address} || goto failed" if signed else ""

    initrds = "\n".join(
        f"initrd {fetch} --name {file.name} {where.blob(file)} || goto failed{verified(file.name)}"
        for file in manifest.of_role("initrd")
    )
    return f"""#!ipxe
# Written by nixmetal.builders; a change here is found and undone by the next publication.
echo nixmetal: channel {channel}
echo nixmetal: release {release_id}
echo nixmetal: image {manifest.image_id}
isset ${{nixmetal-wait}} || set nixmetal-wait:int32 2

:try
imgfree
kernel {fetch} --name {KERNEL_NAME} {where.blob(manifest.kernel)} {line} || goto failed{verified(KERNEL_NAME)}
{initrds}
boot || goto failed

:failed
imgfree
echo nixmetal: release {release_id} was not booted, next try in ${{nixmetal-wait}} seconds
sleep ${{nixmetal-wait}}
inc nixmetal-wait ${{nixmetal-wait}}
iseq ${{nixmetal-wait}} 64 && set nixmetal-wait:int32 32 ||
{_begin_anew(fetch, where.script, signed)}
""".encode("ascii")


def _begin_anew(fetch: str, script: str, signed: bool) -> str:
    """With imgtrust in force iPXE goes on with no script that it has not verified."""
    if not signed:
        return f"chain --replace --autofree {fetch} {script} || goto try"
    return (
        f"imgfetch {fetch} --name {SCRIPT_NAME} {script} || goto try\n"
        f"imgverify {fetch} {SCRIPT_NAME} {script}{SIGNATURE_ENDING} || goto try\n"
        f"imgexec --replace --autofree {SCRIPT_NAME} || goto try"
    )
