# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on the source host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import session, source
from .background import Answer
from .layouts import read_manifest
from .progress import Progress
from .protocol import Channel
from .sender import send


def run(params: Mapping[str, Any]) -> Answer:
    """Do one step of a transfer."""
    operation = params["operation"]
    if operation in ("wait", "stop"):
        return session.wait("sender", params, operation)
    if operation == "prepare":
        return _prepare(params)
    side = session.Session("sender", params)
    places = source.places(params["src"], read_manifest(params["layout"], params["manifest"]))

    def work(channel: Channel, progress: Progress) -> Answer:
        send(channel, places, params["bandwidth_limit"], progress)
        return {"bytes_sent": progress.bytes_sent}

    return side.listen(work) if operation == "listen" else side.connect(work)


def _prepare(params: Mapping[str, Any]) -> Answer:
    manifest = source.prepare(params["src"], params["layout"])
    return {"manifest": manifest.text, "files_total": len(manifest.entries), "bytes_total": manifest.size}
