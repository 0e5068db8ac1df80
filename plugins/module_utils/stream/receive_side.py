# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on the destination host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import parts, plan, session
from .background import Answer
from .layouts import open_store, read_manifest
from .manifest import Entry, Manifest
from .progress import Progress
from .protocol import Channel
from .receiver import receive


def run(params: Mapping[str, Any], check_mode: bool) -> Answer:
    """Do one step of a transfer."""
    operation = params["operation"]
    if operation in ("wait", "stop"):
        return session.wait("receiver", params, operation)
    manifest = read_manifest(params["layout"], params["manifest"])
    store = open_store(params["layout"], params["dest"], manifest)
    if not check_mode:
        store.prepare()
    lacking = store.lacking(remember=not check_mode)
    answer = _overview(manifest, store, lacking)
    if lacking:
        plan.check_space(store, lacking)
    if check_mode:
        return {**answer, "changed": bool(lacking) or not store.is_finished()}
    parts.sweep(store.parts, {entry.sha256 for entry in lacking})
    if not lacking:
        return {**answer, "changed": store.finish()}
    if operation == "plan":
        return answer
    return {**answer, **_start(operation, params, store, lacking)}


def _start(operation: str, params: Mapping[str, Any], store: plan.Store, lacking: list[Entry]) -> Answer:
    side = session.Session("receiver", params)

    def work(channel: Channel, progress: Progress) -> Answer:
        changed = receive(channel, store, lacking, progress)
        return {
            "changed": changed,
            "bytes_sent": progress.bytes_sent,
            "bytes_resumed": progress.bytes_resumed,
            "bytes_reused": progress.bytes_reused,
            "files_sent": progress.files_sent,
            "seconds": round(progress.seconds, 3),
        }

    return side.listen(work) if operation == "listen" else side.connect(work)


def _overview(manifest: Manifest, store: plan.Store, lacking: list[Entry]) -> Answer:
    """What would travel, and what is there already."""
    left = parts.interrupted(store.parts)
    return {
        "changed": False,
        "files_total": len(manifest.contents()),
        "bytes_total": manifest.size,
        "files_lacking": [entry.name for entry in lacking][:1000],
        "files_lacking_count": len(lacking),
        "bytes_lacking": sum(entry.size for entry in lacking),
        "bytes_resumable": sum(min(entry.size, left.get(entry.sha256, 0)) for entry in lacking),
    }
