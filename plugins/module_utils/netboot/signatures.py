# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a release is signed, and a release with its signatures. They lie in its directory, beside manifest and script."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Mapping

from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import stamp

from .cms import check_message, signed_until
from .errors import NetbootError
from .names import KERNEL_NAME
from .releases import Release, release_path
from .script import SCRIPT_NAME, SIGNATURE_ENDING


def to_sign(release: Release) -> dict[str, str]:
    """Name -> SHA-256 of what iPXE verifies. Stage 1 verifies segments by the digests that the first initrd names."""
    if not release.settings.signed:
        return {}
    manifest = release.manifest
    return {
        KERNEL_NAME: manifest.kernel.sha256,
        **{file.name: file.sha256 for file in manifest.of_role("initrd")},
        SCRIPT_NAME: hashlib.sha256(release.contents[SCRIPT_NAME]).hexdigest(),
    }


def with_signatures(release: Release, digests: Mapping[str, str], signatures: Mapping[str, str]) -> Release:
    """The release with its signatures, which have to be those of exactly its files."""
    wanted = to_sign(release)
    if not wanted:
        return release
    if dict(digests) != wanted or set(signatures) != set(wanted):
        raise NetbootError(
            f"signatures: the release {release.release_id} of {release.settings.channel} needs signatures of "
            f"{', '.join(wanted)} as they are now. Sign what to_sign returns in check mode (netboot_signature, on the host that holds "
            "the key), and give both; nothing was published."
        )
    files = {name + SIGNATURE_ENDING: _decoded(name, text) for name, text in signatures.items()}
    for name, digest in wanted.items():
        check_message(files[name + SIGNATURE_ENDING], digest, f"signatures: that of {name}")
    return release._replace(contents={**release.contents, **files})


def signature_problems(root: str, release: Release, now: float | None = None) -> list[str]:
    """Which signatures a signed release in the store lacks, or has and cannot use (any more)."""
    now = time.time() if now is None else now
    folder = release_path(root, release.settings.channel, release.release_id)
    problems = []
    for name, digest in to_sign(release).items():
        path = os.path.join(folder, name + SIGNATURE_ENDING)
        problems += _problem(path, digest, now)
    return problems


def _problem(path: str, digest: str, now: float) -> list[str]:
    try:
        with open(path, "rb") as stream:
            signature = stream.read()
        check_message(signature, digest, path)
        until = signed_until(signature, path)
    except FileNotFoundError:
        return [f"{path} is missing"]
    except NetbootError as error:
        return [str(error)]
    return [f"{path} has expired on {stamp(until)}, with a certificate in it"] if until <= now else []


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise NetbootError(f"signatures: that of {name} is not base64; nothing was published.") from error
