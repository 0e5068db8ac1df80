# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The link of a channel: the only thing served that ever changes."""

from __future__ import annotations

import errno
import os

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import replace_symlink

from .errors import NetbootError
from .names import RELEASE_ID


def link_target(channel: str, release_id: str) -> str:
    """What the link holds, relative to the web root, so that the root can be moved or mounted elsewhere."""
    return os.path.join("releases", channel, release_id)


def active_release(root: str, channel: str) -> str | None:
    """The id of the channel's release; None when it has none yet. What is not such a link is refused."""
    path = os.path.join(root, channel)
    try:
        target = os.readlink(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise NetbootError(
                f"cannot look at the channel {path}: {error.strerror}. Publish as the user who owns the web root (become); "
                "nothing was published."
            ) from error
        raise NetbootError(
            f"{path} is there and is not a link, so it is no channel of this store. Move it away, or choose another "
            "channel name; nothing was published."
        ) from error
    folder, release_id = os.path.split(target)
    if folder != os.path.join("releases", channel) or not RELEASE_ID.fullmatch(release_id):
        raise NetbootError(
            f"{path} is a link to {target}, which is no release of the channel {channel}. Remove it, or choose another "
            "channel name; nothing was published."
        )
    return release_id


def activate(root: str, scratch: str, channel: str, release_id: str) -> None:
    """Turn the link with one rename(2)."""
    replace_symlink(os.path.join(root, channel), link_target(channel, release_id), scratch)


def link_age(root: str, channel: str) -> float:
    """When the link was made, in seconds since the epoch."""
    return os.lstat(os.path.join(root, channel)).st_mtime
