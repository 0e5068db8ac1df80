# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store has to tell to people and to Prometheus: written anew after each change, in files that are whole or not there.

Page and JSON say only what the store holds, so that they change when it does; metrics also say when a build last succeeded.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import make_directories, write_atomic
from ansible_collections.nixmetal.builders.plugins.module_utils.timestamps import parse, stamp

from .cms import signed_until
from .errors import NetbootError
from .inspect import channel_names, compare, count_blobs, free_bytes, inspect_channel
from .names import KERNEL_NAME, check_channel
from .releases import release_path
from .script import SIGNATURE_ENDING
from .server_certificate import first_expiry
from .status_metrics import Observed, render_metrics
from .status_page import render_page
from .store_errors import explained

DIRECTORY = "status"
# How often it is written in one run while others change the store; they write it too.
ATTEMPTS = 5


class Wanted(NamedTuple):
    """What is to be written."""

    root: str
    metrics_file: str | None = None
    good_build_of: str | None = None
    certificate: str | None = None
    # Of several in an ACME client's directory, the one of this name.
    certificate_name: str | None = None


class Written(NamedTuple):
    """What was written, or would be."""

    changed: bool
    document: dict[str, Any]
    metrics: str


def write_status(wanted: Wanted, dry_run: bool, now: float | None = None) -> Written:
    """Bring page, JSON and metrics up to date."""
    if not os.path.isdir(wanted.root):
        raise NetbootError(f"root: the directory {wanted.root} does not exist; role netboot_server makes it.")
    if wanted.metrics_file is not None and not os.path.isdir(os.path.dirname(wanted.metrics_file)):
        raise NetbootError(_unwritable(wanted.metrics_file, "its directory does not exist"))
    try:
        if wanted.good_build_of is not None and not dry_run:
            _note_good_build(wanted.root, check_channel(wanted.good_build_of), time.time() if now is None else now)
        written = _write(wanted, gather(wanted.root), dry_run)
        # There is no lock here, for which a full file system may have no room: whoever has written looks at the store once more,
        # so that what was written last is of what there is now.
        for _attempt in range(0 if dry_run else ATTEMPTS):
            document = gather(wanted.root)
            if document == written.document:
                break
            again = _write(wanted, document, dry_run)
            written = again._replace(changed=written.changed or again.changed)
    except OSError as error:
        raise NetbootError(explained(wanted.root, error)) from error
    return written


def _write(wanted: Wanted, document: dict[str, Any], dry_run: bool) -> Written:
    metrics = render_metrics(document, _observed(wanted, document))
    changed = _write_pages(wanted.root, document, dry_run)
    if wanted.metrics_file is not None and not dry_run:
        try:
            write_atomic(wanted.metrics_file, metrics.encode("utf-8"))
        except OSError as error:
            raise NetbootError(_unwritable(wanted.metrics_file, error.strerror or str(error))) from error
    return Written(changed, document, metrics)


def _unwritable(path: str, reason: str) -> str:
    return (
        f"metrics_file: cannot write {path}: {reason}. It belongs into the directory that node exporter's text file collector reads: "
        "install the exporter, name the directory that it has here, or leave the file out. What is published stays as it is."
    )


def _observed(wanted: Wanted, document: dict[str, Any]) -> Observed:
    certificates = (
        {} if wanted.certificate is None else {wanted.certificate: _expiry(wanted.certificate, wanted.certificate_name)}
    )
    good_builds = _good_builds(wanted.root, channel_names(wanted.root))
    return Observed(good_builds, free_bytes(wanted.root), _signatures(wanted.root, document), certificates)


def gather(root: str) -> dict[str, Any]:
    """Channels with what is active, what changed with it, and what was before; and how much there is of all."""
    return {
        "channels": [_channel(inspect_channel(root, name)) for name in channel_names(root)],
        "blobs": count_blobs(root),
    }


def _channel(told: dict[str, Any]) -> dict[str, Any]:
    by_id = {release["release_id"]: release for release in told["releases"] if not release["damaged"]}
    active, before = by_id.get(told["release_id"]), by_id.get(told["previous_release_id"])
    return {**told, "changes": compare(before, active) if active and before else None}


def _signatures(root: str, document: dict[str, Any]) -> dict[str, float]:
    """Channel -> when the signatures of its active release expire, which is 0 for those that cannot be read."""
    active = {
        told["channel"]: release
        for told in document["channels"]
        for release in told["releases"]
        if release["release_id"] == told["release_id"] and release.get("signed")
    }
    return {
        channel: _signature_expiry(
            os.path.join(release_path(root, channel, release["release_id"]), KERNEL_NAME + SIGNATURE_ENDING)
        )
        for channel, release in active.items()
    }


def _signature_expiry(path: str) -> float:
    try:
        return signed_until(_read(path) or b"", path)
    except NetbootError:
        return 0


def _expiry(certificate: str, name: str | None) -> float:
    """When the first of its chain expires. One that cannot be read is as good as expired, and is told so."""
    try:
        return first_expiry(certificate, name)
    except NetbootError:
        return 0


def _write_pages(root: str, document: dict[str, Any], dry_run: bool) -> bool:
    folder = os.path.join(root, DIRECTORY)
    contents = {
        "status.json": json.dumps(document, indent=2, sort_keys=True).encode("ascii") + b"\n",
        "index.html": render_page(document).encode("utf-8"),
    }
    stale = [name for name, content in contents.items() if _read(os.path.join(folder, name)) != content]
    if stale and not dry_run:
        make_directories(folder)
        state = os.path.join(root, ".state")
        make_directories(state, 0o700)
        for name in stale:
            write_atomic(os.path.join(folder, name), contents[name], scratch=state)
    return bool(stale)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _note_good_build(root: str, channel: str, now: float) -> None:
    folder = os.path.join(root, ".state", "builds")
    make_directories(folder, 0o700)
    # Not beside it: what a killed writer leaves there would be read as a channel's.
    state = os.path.join(root, ".state")
    write_atomic(os.path.join(folder, channel), f"{stamp(now)}\n".encode("ascii"), 0o600, scratch=state)


def _good_builds(root: str, channels: Iterable[str]) -> dict[str, float]:
    """Channel -> when its build last succeeded, also when it brought nothing new. A channel that is gone is not told."""
    folder = os.path.join(root, ".state", "builds")
    texts = {name: (_read(os.path.join(folder, name)) or b"").decode("ascii", "replace").strip() for name in channels}
    times = {name: parse(text) for name, text in texts.items()}
    return {name: when for name, when in times.items() if when is not None}
