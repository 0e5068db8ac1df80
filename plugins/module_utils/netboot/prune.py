# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases a store can do without, and why the others stay.

A release stays when it is active, among the newest of its channel, booted by a live machine, was active within the grace
time (a boot may still fetch from it, an operator go back to it), or cannot be read (nobody knows what it is good for).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from .channels import active_release
from .errors import NetbootError
from .history import active_since, last_turns, read_history
from .names import check_image_id
from .releases import read_whole, release_channels, release_ids, release_path


class Policy(NamedTuple):
    """What is to be kept."""

    keep: int
    keep_image_ids: frozenset[str]
    grace_seconds: float


class Verdict(NamedTuple):
    """A release, and why it stays; it goes when there is no reason."""

    channel: str
    release_id: str
    image_id: str | None
    reasons: tuple[str, ...]


def policy(keep: int, keep_image_ids: list[object], grace_hours: float) -> Policy:
    """The policy of an operator's words. An image id that is none stands for a machine of which nothing is known."""
    if keep < 1:
        raise NetbootError(f"keep: {keep} would keep no release of a channel; it is at least 1.")
    if grace_hours < 0:
        raise NetbootError(f"grace_hours: {grace_hours:g} is below zero.")
    for image_id in keep_image_ids:
        if not image_id or image_id == "None":
            raise NetbootError(
                "keep_image_ids: one of the entries is empty, so a live machine runs an image that is not known. Nothing "
                "was removed. Find out what it runs, or end it, and run again."
            )
    return Policy(keep, frozenset(map(check_image_id, keep_image_ids)), grace_hours * 3600)


def judge(root: str, rules: Policy, now: float) -> list[Verdict]:
    """A verdict on every release in the store."""
    return [verdict for channel in release_channels(root) for verdict in _judge_channel(root, channel, rules, now)]


def _judge_channel(root: str, channel: str, rules: Policy, now: float) -> list[Verdict]:
    history = read_history(root, channel)
    active = active_release(root, channel)
    recent = active_since(history, now - rules.grace_seconds)
    ids = _newest_first(root, channel, last_turns(history), active)
    verdicts = []
    for rank, release_id in enumerate(ids):
        image_id = _image_id(root, channel, release_id)
        grounds = {
            "active": release_id == active,
            f"among the newest {rules.keep}": rank < rules.keep,
            "booted by a live machine": image_id in rules.keep_image_ids,
            "within the grace time": release_id in recent
            or _written(root, channel, release_id) > now - rules.grace_seconds,
            "its manifest is damaged": image_id is None,
        }
        verdicts.append(Verdict(channel, release_id, image_id, tuple(text for text, holds in grounds.items() if holds)))
    return verdicts


def _newest_first(root: str, channel: str, turns: dict[str, int], active: str | None) -> list[str]:
    """The active one, then those that were active, the last one first, then others by when they were written."""

    def order(release_id: str) -> tuple[bool, int, float]:
        return (release_id == active, turns.get(release_id, -1), _written(root, channel, release_id))

    return sorted(release_ids(root, channel), key=order, reverse=True)


def _written(root: str, channel: str, release_id: str) -> float:
    return os.stat(release_path(root, channel, release_id)).st_mtime


def _image_id(root: str, channel: str, release_id: str) -> str | None:
    document = read_whole(root, channel, release_id)
    return None if document is None else str(document["image_id"])
