# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exceptions of this room: their text is what the operator reads."""

from __future__ import annotations


class StreamError(Exception):
    """A transfer that cannot go on, said with what failed, where, and what can be done."""


class ManifestError(StreamError):
    """A manifest that is not believed."""


class PeerGoneError(StreamError):
    """The other side ended, or nothing is heard of it."""


class RefusedError(StreamError):
    """A connection that is not the peer's."""
