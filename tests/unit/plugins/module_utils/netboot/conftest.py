# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small store to publish from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import Publication


class Store:
    """A web root with images put into it as a stream would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, content: bytes) -> Path:
        """Put contents into the store."""
        path = self.root / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        path.chmod(0o444)
        return path

    def image(self, image_id: str, **files: bytes) -> dict[str, Any]:
        """Stage an image; a file's role is its name's first part."""
        contents = files or {"kernel": b"kernel of " + image_id.encode(), "initrd_00": b"root of " + image_id.encode()}
        entries = []
        for name, content in contents.items():
            path = self.blob(content)
            role = name.split("_", maxsplit=1)[0]
            entries.append(
                {"name": name.replace("_", "-"), "role": role, "size": len(content), "sha256": path.name},
            )
        manifest = {
            "schema": 1,
            "image_id": image_id,
            "system": "x86_64-linux",
            "kernel_params": ["quiet"],
            "files": entries,
        }
        staging = self.root / ".state" / "staging" / image_id
        staging.mkdir(parents=True)
        (staging / "manifest.json").write_text(json.dumps(manifest))
        return manifest

    def publish(self, image_id: str) -> Publication:
        """Stage an image and publish it in the channel lab."""
        # Not above: pytest may load this file before Ansible's importer stands.
        from ansible_collections.nixmetal.builders.plugins.module_utils.netboot import publish, releases, switch

        self.image(image_id)
        settings = releases.Settings("lab", "http://web", "relative", ())
        return switch.publish(str(self.root), publish.staged_manifest(str(self.root), image_id), settings, False, 1)

    def history(self, channel: str) -> list[dict[str, Any]]:
        """The channel's history."""
        lines = (self.root / ".state" / "history" / f"{channel}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "web")
