# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes and counts beyond which something is refused, and the sizes of buffers."""

from __future__ import annotations

CHUNK = 1 << 20  # payload of one frame and size of every buffer: larger ones gain nothing in measurements
BUFFERS = 8  # chunks between the network and the disk; with them a side stays below 64 MB
FILES_AT_ONCE = 2  # that grow side by side, each hashed by a thread of its own
SLICE = 4 << 20  # of a file that come in one go while another one grows beside it
MAX_SLICES = 50_000  # of all files together
SMALL_CHUNK = 16 << 10  # the least a bandwidth limit cuts a chunk down to: one TLS record

MARK_STEP = 4 << 20  # how much of a part file an interruption can cost at most
PART_SECONDS = 7 * 86400  # how long an interrupted file waits for its image to be sent again
SCRATCH_SECONDS = 3600  # after which nobody can be at work still on a file that is written in a moment
SYNC_STEP = 64 << 20  # dirty pages are flushed behind the stream, so that the end does not wait for all of them

MAX_MANIFEST = 64 << 20  # characters of JSON
MAX_FILES = 200_000
MAX_PIECES = 500_000  # of all files together
MAX_DEPTH = 64  # components of a path
MAX_SIZE = 1 << 44  # bytes of one transfer: 16 TiB

MAX_CONTROL = 1 << 20  # bytes of a frame that is not data
MAX_RANGES = 500_000  # ranges that a receiver may ask for
MAX_CONNECTIONS = 16
FAR_CONNECTIONS = 4  # to a host that is FAR: a single one would be held up by its window
FAR_SECONDS = 0.005  # for one way there and back
MAX_HANDSHAKES = 32  # connections looked at together while the peer is awaited
HANDSHAKE_SECONDS = 10.0
