# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release: a manifest and the script that boots it, under a name that is a digest over both."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import (
    make_directories,
    rename,
    sync_directory,
    write_atomic,
    write_new,
)

from .command_line import command_line
from .difference import describe
from .errors import NetbootError
from .manifest import Manifest, canonical, check_manifest
from .names import CHANNEL, RELEASE_ID, RESERVED_CHANNELS
from .script import NO_RELEASE_ID, SCRIPT_NAME, Wording, addresses, blobs_url, render

MANIFEST_NAME = "manifest.json"
KERNEL_LINE = re.compile(r"^kernel (?:--\S+ \S+ )*\S+ (.*) \|\| goto failed$", re.MULTILINE)


class Settings(NamedTuple):
    """What a channel adds to an image."""

    channel: str
    base_url: str
    url_style: str
    kernel_params: tuple[str, ...]
    signed: bool = False

    def document(self) -> dict[str, Any]:
        """What the release's manifest says of it. That it is not signed is not said, so that older releases keep their ids."""
        told = {**self._asdict(), "kernel_params": list(self.kernel_params)}
        return told if self.signed else {name: value for name, value in told.items() if name != "signed"}


class Release(NamedTuple):
    """A release in memory."""

    release_id: str
    manifest: Manifest
    settings: Settings
    command_line: str
    document: dict[str, Any]
    contents: dict[str, bytes]


def release_path(root: str, channel: str, release_id: str) -> str:
    """The release's directory."""
    return os.path.join(root, "releases", channel, release_id)


def make_release(manifest: Manifest, settings: Settings) -> Release:
    """The release of an image in a channel. The same image and settings always make the same one.

    The script names the release id, so the id is the digest over manifest and script with 32 zeros in its place.
    """
    line = command_line(manifest, settings.kernel_params, blobs_url(settings.base_url))
    where = addresses(settings.base_url, settings.channel, settings.url_style)
    document = {**manifest.document, "release": settings.document()}
    text = canonical(document)
    wording = Wording(settings.channel, line, where, settings.signed)
    draft = render(manifest, NO_RELEASE_ID, wording)
    release_id = hashlib.sha256(text + draft).hexdigest()[:32]
    script = render(manifest, release_id, wording)
    return Release(release_id, manifest, settings, line, document, {MANIFEST_NAME: text, SCRIPT_NAME: script})


def is_written(root: str, release: Release) -> bool:
    """True when the release's directory holds exactly its files."""
    folder = release_path(root, release.settings.channel, release.release_id)
    return all(_read(os.path.join(folder, name)) == content for name, content in release.contents.items())


def write_release(root: str, scratch: str, release: Release) -> None:
    """Write the release's directory under its final name, whole. What was changed in an existing one is put right."""
    folder = release_path(root, release.settings.channel, release.release_id)
    if os.path.isdir(folder):
        for name, content in release.contents.items():
            if _read(os.path.join(folder, name)) != content:
                write_atomic(os.path.join(folder, name), content, scratch=scratch)
        return
    draft = os.path.join(scratch, release.release_id)
    make_directories(draft)
    for name, content in release.contents.items():
        write_new(os.path.join(draft, name), content)
    sync_directory(draft)
    make_directories(os.path.dirname(folder))
    rename(draft, folder)


def load_release(root: str, channel: str, release_id: str) -> Release:
    """A release that was written before, whoever wrote it, exactly as it stands in the store."""
    folder = release_path(root, channel, release_id)
    document = read_manifest_of(root, channel, release_id)
    contents = {name: _read(os.path.join(folder, name)) or b"" for name in (MANIFEST_NAME, SCRIPT_NAME)}
    if document is None or id_of(contents, release_id) != release_id:
        state = (
            "is damaged: its name is not the digest of its contents" if os.path.isdir(folder) else "is not in the store"
        )
        raise NetbootError(
            f"release_id: the release {release_id} of {channel} {state} ({folder}). netboot_release_info lists the "
            "releases; nothing was changed."
        )
    manifest = check_manifest(document, folder)
    own = document["release"]
    settings = Settings(
        channel, own["base_url"], own["url_style"], tuple(own["kernel_params"]), own.get("signed") is True
    )
    return Release(release_id, manifest, settings, _command_line_in(contents[SCRIPT_NAME]) or "", document, contents)


def read_whole(root: str, channel: str, release_id: str) -> dict[str, Any] | None:
    """A release's document, for whoever goes by it; None also when its files are not those that its id is the digest of."""
    folder = release_path(root, channel, release_id)
    contents = {name: _read(os.path.join(folder, name)) or b"" for name in (MANIFEST_NAME, SCRIPT_NAME)}
    return read_manifest_of(root, channel, release_id) if id_of(contents, release_id) == release_id else None


def description(root: str, channel: str, release_id: str) -> dict[str, Any]:
    """A release of the store in a few lines."""
    return describe(release_id, read_manifest_of(root, channel, release_id), command_line_of(root, channel, release_id))


def command_line_of(root: str, channel: str, release_id: str) -> str | None:
    """The kernel command line of a release in the store; None when its script is lost or damaged."""
    return _command_line_in(_read(os.path.join(release_path(root, channel, release_id), SCRIPT_NAME)) or b"")


def _command_line_in(script: bytes) -> str | None:
    line = KERNEL_LINE.search(script.decode("ascii", "replace"))
    return line[1] if line else None


def id_of(contents: dict[str, bytes], release_id: str) -> str:
    """The id that these files should have, given the one that the script names."""
    draft = contents[SCRIPT_NAME].replace(release_id.encode("ascii"), NO_RELEASE_ID.encode("ascii"))
    return hashlib.sha256(contents[MANIFEST_NAME] + draft).hexdigest()[:32]


def release_ids(root: str, channel: str) -> list[str]:
    """The ids of the releases in the store, active or not."""
    return sorted(name for name in _listing(os.path.join(root, "releases", channel)) if RELEASE_ID.fullmatch(name))


def release_channels(root: str) -> list[str]:
    """The channels that have releases in the store."""
    names = _listing(os.path.join(root, "releases"))
    return sorted(name for name in names if CHANNEL.fullmatch(name) and name not in RESERVED_CHANNELS)


def _listing(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def read_manifest_of(root: str, channel: str, release_id: str) -> dict[str, Any] | None:
    """The manifest document of a release that was published before; None when it is lost or damaged."""
    path = os.path.join(release_path(root, channel, release_id), MANIFEST_NAME)
    try:
        document = json.loads(_read(path) or b"null")
        check_manifest(document, path)
        _check_settings(document.get("release"))
    except (ValueError, NetbootError):
        return None
    return dict(document)


def _check_settings(settings: object) -> None:
    """Refuse what cannot be what a channel added to an image."""
    texts = ("base_url", "url_style")
    if (
        not isinstance(settings, dict)
        or not isinstance(settings.get("kernel_params"), list)
        or not all(isinstance(settings.get(key), str) for key in texts)
        or settings.get("signed", True) is not True
    ):
        raise NetbootError("release is not a dictionary with the settings of a channel.")


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
