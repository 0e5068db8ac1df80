# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two kinds of directory that travel, and what of each stands where."""

from __future__ import annotations

from . import tree
from .blob_store import BlobStore
from .manifest import Manifest, read_image
from .plan import Store
from .tree_store import TreeStore


def read_manifest(layout: str, text: str) -> Manifest:
    """A manifest, checked."""
    return read_image(text) if layout == "image" else tree.read_tree(text)


def open_store(layout: str, dest: str, manifest: Manifest) -> Store:
    """The destination."""
    return BlobStore(dest, manifest) if layout == "image" else TreeStore(dest, manifest)
