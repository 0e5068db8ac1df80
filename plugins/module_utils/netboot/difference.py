# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between two releases, in the words an operator reads in a diff."""

from __future__ import annotations

import json
from typing import Any


def describe(release_id: str, document: dict[str, Any] | None, command_line: str | None) -> dict[str, Any]:
    """A release in a few lines; of one whose manifest is lost only the id is known."""
    if document is None:
        return {"release_id": release_id}
    files = document.get("files", [])
    settings = document.get("release", {})
    return {
        "release_id": release_id,
        "image_id": document.get("image_id"),
        "kernel_params": [*document.get("kernel_params", []), *settings.get("kernel_params", [])],
        "command_line": command_line,
        "base_url": settings.get("base_url"),
        "url_style": settings.get("url_style"),
        "signed": settings.get("signed", False),
        "files": {file["name"]: f"{file['role']} {file['size']} {file['sha256']}" for file in files},
        "bytes": sum(file["size"] for file in files),
    }


def bytes_added(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Bytes of the blobs that only the second of two described releases uses; the other way round, those it does without."""
    known, sizes = blob_sizes(before), blob_sizes(after)
    return sum(size for digest, size in sizes.items() if digest not in known)


def blob_sizes(description: dict[str, Any]) -> dict[str, int]:
    """Each blob of a described release once."""
    rows = [text.split() for text in description.get("files", {}).values()]
    return {digest: int(size) for _role, size, digest in rows}


def as_diff(channel: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """The form in which Ansible shows a difference."""
    costs = {
        "bytes_added": bytes_added(before, after),
        "bytes_freed": bytes_added(before=after, after=before) if before else 0,
    }
    return {
        "before_header": f"channel {channel} (release {before.get('release_id', 'none')})",
        "after_header": f"channel {channel} (release {after['release_id']})",
        "before": _text(before),
        "after": _text(after if before == after else {**after, **costs}),
    }


def _text(description: dict[str, Any]) -> str:
    return json.dumps(description, indent=2) + "\n" if description else ""
