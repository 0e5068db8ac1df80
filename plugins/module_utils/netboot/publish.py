# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a channel's link is turned to: an image that was staged, another channel's release, or an older release."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from .channels import active_release
from .errors import NetbootError
from .history import read_history, release_before
from .manifest import Manifest, check_manifest, read_manifest
from .names import RELEASE_ID, check_channel, check_image_id
from .releases import Release, Settings, load_release, make_release, read_whole
from .signatures import signature_problems
from .store_errors import explained

PREVIOUS = "previous"


class Target(NamedTuple):
    """The release to be active, and what the history calls the step."""

    release: Release
    action: str
    promoted_from: str | None = None


# Called when the store is locked, so that what it reads is what is acted upon.
Choice = Callable[[], Target]


def staged_manifest(root: str, image_id: str) -> Manifest:
    """The manifest that the stream has staged."""
    path = os.path.join(root, ".state", "staging", check_image_id(image_id), "manifest.json")
    try:
        with open(path, "rb") as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise NetbootError(
            f"no image {image_id} is staged on this host: {path} does not exist. Stream the image directory here first "
            "(artifact_stream with layout: image); nothing was published."
        ) from error
    except OSError as error:
        raise NetbootError(explained(root, error)) from error
    manifest = read_manifest(text, path)
    if manifest.image_id != image_id:
        raise NetbootError(f"{path} is the manifest of {manifest.image_id}, not of {image_id}; stream the image again.")
    return manifest


def image_of(manifest: Manifest, settings: Settings) -> Choice:
    """Publish an image."""
    return lambda: Target(make_release(manifest, settings), "publish")


def promotion(root: str, source: str, release_id: str | None, settings: Settings) -> Choice:
    """Publish the image of another channel's release (by default its active one) with this channel's own settings."""
    if check_channel(source) == settings.channel:
        raise NetbootError(f"from_channel: {source} cannot be promoted to itself; name two channels.")

    def choose() -> Target:
        chosen = release_id or active_release(root, source)
        if chosen is None:
            raise NetbootError(f"from_channel: the channel {source} has no release that could be promoted.")
        document = read_whole(root, source, _checked_id(chosen))
        if document is None:
            raise NetbootError(
                f"from_channel: the release {chosen} of {source} is not in the store, or its manifest is damaged. "
                f"netboot_release_info lists the releases; publish {source} again if its active one is damaged."
            )
        release = make_release(check_manifest(document, f"release {chosen} of {source}"), settings)
        return Target(release, "promote", f"{source}/{chosen}")

    return choose


def older(root: str, channel: str, release_id: str) -> Choice:
    """A release of the channel that was published before; 'previous' is one step back in its history."""

    def choose() -> Target:
        if release_id != PREVIOUS:
            return Target(_loaded(root, channel, _checked_id(release_id)), "activate")
        return Target(_loaded(root, channel, _one_step_back(root, channel)), "rollback")

    return choose


def _loaded(root: str, channel: str, release_id: str) -> Release:
    release = load_release(root, channel, release_id)
    problems = signature_problems(root, release)
    if problems:
        raise NetbootError(
            f"release_id: the release {release_id} of {channel} is signed, and no machine would boot it: {'; '.join(problems)}. "
            "Publish its image again; nothing was changed."
        )
    return release


def _one_step_back(root: str, channel: str) -> str:
    active = active_release(root, channel)
    if active is None:
        raise NetbootError(f"channel: {channel} has no release, so there is nothing to go back from.")
    history = read_history(root, channel)
    before, seen = release_before(history, active), {active}
    while before is not None and read_whole(root, channel, before) is None:  # pruned since
        seen.add(before)
        before = release_before(history, before)
        if before in seen:  # what was published twice leads round in a circle
            before = None
    if before is None:
        raise NetbootError(
            f"release_id: the history of {channel} knows no release before {active} that is still in the store. "
            "netboot_release_info lists what is there."
        )
    return before


def _checked_id(release_id: str) -> str:
    if not RELEASE_ID.fullmatch(release_id):
        raise NetbootError(f"release_id: {release_id!r} is neither 'previous' nor 32 lower-case hexadecimal digits.")
    return release_id
