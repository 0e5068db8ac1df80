# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove the releases that a store can do without, then the blobs that no release names.

In this order, so that a release never names a blob that is gone, wherever a crash cuts it off; the next run goes on.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.atomic_file import sync_directory
from ansible_collections.nixmetal.builders.plugins.module_utils.verified_blobs import blob_path

from .errors import NetbootError
from .lock import StoreLock, store_lock
from .prune import Policy, Verdict, judge
from .releases import description, release_path
from .store_errors import explained
from .sweep import Rubbish, find_rubbish, remove_blob, remove_staged
from .switch import Writer, scratch_directory


class Pruning(NamedTuple):
    """What was removed and what stays, or would."""

    verdicts: list[Verdict]
    rubbish: Rubbish
    # Each release by its id, as netboot_release shows it: image, kernel, command line, segments.
    descriptions: dict[str, dict[str, Any]]

    @property
    def removed(self) -> list[Verdict]:
        """The releases that nothing speaks for."""
        return [verdict for verdict in self.verdicts if not verdict.reasons]

    @property
    def kept(self) -> list[Verdict]:
        """The releases that stay."""
        return [verdict for verdict in self.verdicts if verdict.reasons]

    @property
    def changed(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.removed or self.rubbish.blobs or self.rubbish.staged)


def prune(writer: Writer, rules: Policy, now: float | None = None) -> Pruning:
    """Prune the whole store."""
    root, now = writer.root, time.time() if now is None else now
    if not os.path.isdir(root):
        raise NetbootError(f"root: the directory {root} does not exist; role netboot_server makes it.")
    try:
        if writer.dry_run:
            return _plan(root, rules, now)
        with store_lock(root, "prune", writer.lock_timeout, writer.break_lock) as lock:
            plan = _plan(root, rules, now)
            if plan.changed:
                _apply(root, lock, plan)
            return plan
    except OSError as error:
        raise NetbootError(explained(root, error)) from error


def _plan(root: str, rules: Policy, now: float) -> Pruning:
    verdicts = judge(root, rules, now)
    rubbish = find_rubbish(root, verdicts, rules, now)
    return Pruning(verdicts, rubbish, {v.release_id: description(root, v.channel, v.release_id) for v in verdicts})


def _apply(root: str, lock: StoreLock, plan: Pruning) -> None:
    lock.confirm()
    with scratch_directory(root) as scratch:
        for verdict in plan.removed:
            _remove_release(root, scratch, verdict)
    for image_id in plan.rubbish.staged:
        remove_staged(root, image_id)
    lock.confirm()
    for digest in plan.rubbish.blobs:
        remove_blob(root, digest)
    if plan.rubbish.blobs:
        sync_directory(os.path.dirname(blob_path(root, "")))


def _remove_release(root: str, scratch: str, verdict: Verdict) -> None:
    """At once, by one rename: nobody sees half of it."""
    folder = release_path(root, verdict.channel, verdict.release_id)
    away = os.path.join(scratch, verdict.release_id)
    os.rename(folder, away)
    sync_directory(os.path.dirname(folder))
    shutil.rmtree(away)
