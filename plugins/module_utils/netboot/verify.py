# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read everything in a store again and say what is not as it should be. Nothing is believed, nothing is changed."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import blob_path

from .channels import active_release
from .errors import NetbootError
from .inspect import channel_names
from .names import DIGEST
from .releases import load_release, release_channels, release_ids
from .signatures import signature_problems

CHUNK = 1 << 20


class Verification(NamedTuple):
    """What was read, and what is wrong with it."""

    blobs: int
    bytes: int
    releases: int
    problems: list[str]


def verify(root: str) -> Verification:
    """Hash every blob, and look at every release and every channel's link.

    A release is read before the blobs are listed: a prune that runs meanwhile takes releases first, then blobs.
    """
    problems: list[str] = []
    named: dict[str, tuple[int, str]] = {}
    count = 0
    for channel in release_channels(root):
        for release_id in release_ids(root, channel):
            count += 1
            problems += _check_release(root, channel, release_id, named)
    problems += [problem for channel in channel_names(root) for problem in _check_link(root, channel)]
    sizes, wrong = _read_blobs(root)
    problems += wrong
    for digest, (size, origin) in sorted(named.items()):
        if digest not in sizes:
            problems.append(f"the blob {digest} of {origin} is not in the store")
        elif sizes[digest] != size:
            problems.append(f"the blob {digest} holds {sizes[digest]} bytes, {origin} says {size}")
    return Verification(len(sizes), sum(sizes.values()), count, problems)


def _check_release(root: str, channel: str, release_id: str, named: dict[str, tuple[int, str]]) -> list[str]:
    try:
        release = load_release(root, channel, release_id)
    except NetbootError as error:
        return [str(error)]
    for file in release.manifest.files:
        named[file.sha256] = (file.size, f"{file.name} of release {release_id} of {channel}")
    problems = signature_problems(root, release)
    return (
        [f"the release {release_id} of {channel} is signed, and iPXE would refuse it: {'; '.join(problems)}"]
        if problems
        else []
    )


def _check_link(root: str, channel: str) -> list[str]:
    try:
        active = active_release(root, channel)
    except NetbootError as error:
        return [str(error)]
    if active is not None and active not in release_ids(root, channel):
        return [f"the channel {channel} leads to the release {active}, which is not in the store"]
    return []


def _read_blobs(root: str) -> tuple[dict[str, int], list[str]]:
    """Size of each blob, and which are not what their names say. Hashing leaves Python alone, so threads use all cores."""
    folder = os.path.dirname(blob_path(root, ""))
    names = sorted(name for name in os.listdir(folder) if DIGEST.fullmatch(name)) if os.path.isdir(folder) else []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        read = dict(zip(names, pool.map(lambda name: _hash(os.path.join(folder, name)), names)))
    sizes = {name: found[0] for name, found in read.items() if found is not None}
    wrong = [
        f"the blob {os.path.join(folder, name)} was read as {found[1]}: it is damaged. Remove it, and stream its image again"
        for name, found in read.items()
        if found is not None and found[1] != name
    ]
    return sizes, wrong


def _hash(path: str) -> tuple[int, str] | None:
    """Size and digest; None for a blob that was pruned meanwhile."""
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                digest.update(chunk)
                size += len(chunk)
    except FileNotFoundError:
        return None
    return size, digest.hexdigest()
