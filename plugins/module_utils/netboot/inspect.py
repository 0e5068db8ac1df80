# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store holds, in the words of netboot_release_info and the status page. Nothing is locked and nothing is written."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import blob_path

from .channels import active_release
from .difference import bytes_added, describe
from .errors import NetbootError
from .history import last_turns, read_history, release_before
from .names import CHANNEL, DIGEST, RESERVED_CHANNELS
from .releases import command_line_of, read_manifest_of, release_channels, release_ids
from .script import channel_url

LINK = re.compile(r"releases/")


def channel_names(root: str) -> list[str]:
    """Channels with a link or with releases."""
    links = [
        name
        for name in os.listdir(root)
        if CHANNEL.fullmatch(name)
        and name not in RESERVED_CHANNELS
        and os.path.islink(os.path.join(root, name))
        and LINK.match(os.readlink(os.path.join(root, name)))
    ]
    return sorted({*links, *release_channels(root)})


def inspect_channel(root: str, channel: str) -> dict[str, Any]:
    """A channel with its releases, newest first, and its history, oldest first."""
    history = read_history(root, channel)
    active, problem = _active_or_problem(root, channel)
    turns = last_turns(history)
    releases = [inspect_release(root, channel, release_id) for release_id in release_ids(root, channel)]
    releases.sort(key=lambda release: turns.get(release["release_id"], -1), reverse=True)
    last = history[-1] if history else {}
    now_active = next((release for release in releases if release["release_id"] == active), None)
    return {
        "channel": channel,
        "release_id": active,
        "problem": problem,
        "image_id": now_active["image_id"] if now_active else None,
        "url": now_active["url"] if now_active else None,
        "activated_at": last.get("at"),
        "activated_by": last.get("by"),
        "previous_release_id": release_before(history, active) if active else None,
        "releases": releases,
        "history": history,
    }


def _active_or_problem(root: str, channel: str) -> tuple[str | None, str | None]:
    """The active release, or what is wrong with the link. One damaged channel must not hide the others."""
    try:
        return active_release(root, channel), None
    except NetbootError as error:
        return None, str(error)


def inspect_release(root: str, channel: str, release_id: str) -> dict[str, Any]:
    """A release; of one whose manifest is damaged only the name is known."""
    document = read_manifest_of(root, channel, release_id)
    told = describe(release_id, document, command_line_of(root, channel, release_id))
    if document is None:
        return {"release_id": release_id, "image_id": None, "damaged": True, "url": None, "bytes": None, "files": []}
    return {
        "release_id": release_id,
        "image_id": told["image_id"],
        "system": document["system"],
        "damaged": False,
        "url": channel_url(told["base_url"], channel),
        "url_style": told["url_style"],
        "signed": told["signed"],
        "kernel_params": told["kernel_params"],
        "command_line": told["command_line"],
        "bytes": told["bytes"],
        "files": [{key: file[key] for key in ("name", "role", "size", "sha256")} for file in document["files"]],
    }


def compare(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What changed from one inspected release to another, by file names and kernel parameters."""
    old, new = _digests(before), _digests(after)
    return {
        "from": before["release_id"],
        "files_added": sorted(name for name in new if name not in old),
        "files_removed": sorted(name for name in old if name not in new),
        "files_changed": sorted(name for name in new if name in old and new[name] != old[name]),
        "kernel_params_added": [word for word in after["kernel_params"] if word not in before["kernel_params"]],
        "kernel_params_removed": [word for word in before["kernel_params"] if word not in after["kernel_params"]],
        "bytes_added": bytes_added(_described(before), _described(after)),
    }


def count_blobs(root: str) -> dict[str, int]:
    """How many blobs there are, and how many bytes."""
    folder = os.path.dirname(blob_path(root, ""))
    try:
        sizes = [
            entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder) if DIGEST.fullmatch(entry.name)
        ]
    except FileNotFoundError:
        sizes = []
    return {"count": len(sizes), "bytes": sum(sizes)}


def free_bytes(root: str) -> int:
    """What an ordinary user could still write."""
    status = os.statvfs(root)
    return status.f_bavail * status.f_frsize


def _digests(release: dict[str, Any]) -> dict[str, str]:
    return {file["name"]: file["sha256"] for file in release["files"]}


def _described(release: dict[str, Any]) -> dict[str, Any]:
    return {"files": {file["name"]: f"{file['role']} {file['size']} {file['sha256']}" for file in release["files"]}}
