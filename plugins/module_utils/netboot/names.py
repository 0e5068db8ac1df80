# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may name a channel, an image, a file and a base URL.

These names become paths below the web root, words of an iPXE script (which knows no quotes) and parts of URLs, so each
rule is a short list of what is allowed instead of a list of what is dangerous.
"""

from __future__ import annotations

import re

from .errors import NetbootError

CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# What the boot script calls the kernel. UEFI's load options begin with this name.
KERNEL_NAME = "kernel"
RESERVED_CHANNELS = ("blobs", "releases", "status")
IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._=-]{0,210}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")
RELEASE_ID = re.compile(r"[0-9a-f]{32}")
BASE_URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%-]+)*"
)


def check_channel(name: str) -> str:
    """Refuse what cannot be a channel."""
    if name in RESERVED_CHANNELS:
        raise NetbootError(f"channel: '{name}' is a directory of the web root itself; choose another name.")
    if not CHANNEL.fullmatch(name):
        raise NetbootError(
            f"channel: {name!r} cannot be a channel name. It becomes one directory of a URL: up to 100 letters, "
            "digits, '.', '_' and '-', the first a letter or a digit."
        )
    return name


def check_image_id(image_id: object) -> str:
    """Refuse what cannot be an image id (the name of a Nix store path)."""
    if not isinstance(image_id, str) or not IMAGE_ID.fullmatch(image_id):
        raise NetbootError(
            f"image_id: {image_id!r} cannot be an image id. It is the name of the image's store path: letters, digits "
            "and '+', '-', '.', '_', '='."
        )
    return image_id


def check_base_url(url: str) -> str:
    """Refuse what iPXE could not take as a base URL; a slash at the end is dropped."""
    trimmed = url.rstrip("/")
    if not BASE_URL.fullmatch(trimmed) or "/.." in trimmed:
        raise NetbootError(
            f"base_url: {_without_login(url)!r} cannot be used. It is the address at which machines find the web root: http:// or "
            "https://, a host, perhaps a port and a path; no user, query, fragment, space or '${'."
        )
    return trimmed


def _without_login(url: str) -> str:
    """A URL fit for a message: what may be a password is not shown."""
    return re.sub(r"//.*@", "//***@", url)
