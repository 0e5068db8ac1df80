# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a rollout ended, as lines of text that fit a terminal of 80 columns, also when Ansible indents them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.text_lines import listed, unbroken

Json = Mapping[str, Any]


def rollout_lines(step: Json, images: Mapping[str, str], fleet: str, now: float) -> list[str]:
    """What came of it, the images, each machine, and what is to be done next; from the last step of the rollout."""
    lines = unbroken(
        f"{len(step['done'])} of {len(step['memory'])} machines of the fleet {fleet} run their image, {len(step['failed'])} failed"
    )
    lines += [f"Rebooted  {sum(bool(kept.get('tries')) for kept in step['memory'].values())}", *_time(step, now)]
    for image, names in _by_image(step, images).items():
        lines += [f"Image     {image}", *listed(f"{name} {_came(step, name)}" for name in names)]
    lines += _told("Failed", step["failed"]) + _told("Left as they are", step["skipped"])
    for title, names in (("Not begun with", step["waiting"]), ("Still under way", step["under_way"])):
        lines += [title, *listed(names)] if names else []
    return lines + _next(step)


def _time(step: Json, now: float) -> list[str]:
    """Since this run took the first machine out of service, or took it up."""
    begun = [kept["begun"] for kept in step["memory"].values() if kept.get("begun") is not None]
    return [f"Time      {max(0, round(now - min(begun)))} s"] if begun else []


def _by_image(step: Json, images: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(step["done"]):
        found.setdefault(images.get(step["memory"][name].get("channel", ""), "unknown"), []).append(name)
    return found


def _came(step: Json, name: str) -> str:
    kept = step["memory"][name]
    tries = kept.get("tries", 0)
    if tries > 1:
        return f"asked to reboot {tries} times"
    if not tries:
        return "ran it already" if kept.get("begun") is None else "put back into service"
    return "rebooted"


def _told(title: str, reasons: Mapping[str, str]) -> list[str]:
    lines = [title] if reasons else []
    for name, reason in sorted(reasons.items()):
        lines += [f"  {name}", *unbroken(reason, "    ")]
    return lines


def _next(step: Json) -> list[str]:
    if step["finished"] and not step["failed"] and not step["waiting"]:
        return []
    return unbroken(
        "Next: mend what failed, then run rollout.yml again, which goes on with what is not done. A machine that stays drained "
        "is put back into service by restore.yml, or ended by terminate.yml."
    )
