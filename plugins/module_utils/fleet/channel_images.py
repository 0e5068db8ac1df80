# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the image of a bid's channel is one for the bid's plan: asked before a machine is bought that could not boot it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

PLANS = Path(__file__).resolve().parents[3] / "nix" / "plans"
# An image for one of these is for any machine of its system.
GENERIC = "generic."


@functools.cache
def systems_of_plans() -> Mapping[str, str]:
    """The system type of each plan that nix/plans knows, by all of its names."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(PLANS.glob("*.json"))]
    return {name: str(plan["system"]) for plan in read for name in (plan["slug"], *plan["aliases"])}


def manifest_urls(bids: Sequence[Json], channels: Sequence[Json]) -> dict[str, str]:
    """Where the release of each channel that these bids boot says what it is."""
    bases = {str(channel["name"]): str(channel["base_url"]).rstrip("/") for channel in channels}
    wanted = sorted({str(bid["channel"]) for bid in bids})
    return {channel: f"{bases[channel]}/{channel}/manifest.json" for channel in wanted}


def channel_image_problems(bids: Sequence[Json], answers: Mapping[str, Json], foretold: bool = False) -> list[str]:
    """A sentence for each bid whose machines could not boot. `answers` holds the web server's, by channel.

    In a rehearsal (foretold) a channel's image need not be known yet: it may be published before the machines are bought.
    """
    asked = [(bid, answers.get(str(bid["channel"]), {})) for bid in bids]
    found = [None if foretold and not _is_known(answer) else _problem(bid, answer) for bid, answer in asked]
    return [f"bid {bid['name']!r}: {problem}" for bid, problem in zip(bids, found) if problem]


def _is_known(answer: Json) -> bool:
    return answer.get("status") == 200 and isinstance(answer.get("json"), Mapping)


def _problem(bid: Json, answer: Json) -> str | None:
    channel, url = bid["channel"], answer.get("url")
    if answer.get("status") == 404:
        return f"channel {channel!r} has no release ({url}): publish an image first (playbooks/build.yml)"
    if not _is_known(answer):
        words = answer.get("msg") or f"status {answer.get('status')}"
        return (
            f"it is not known what channel {channel!r} boots ({url}: {words}): make it reachable from here, or set "
            "spot_fleet_check_channels to false to buy without looking"
        )
    return _wrong_image(str(bid["plan"]).lower(), str(channel), answer["json"])


def _wrong_image(plan: str, channel: str, manifest: Json) -> str | None:
    system, names = manifest.get("system"), manifest.get("plans")
    image = f"channel {channel!r} boots {manifest.get('image_id')}, which is for"
    known = systems_of_plans().get(plan)
    if known is not None and known != system:
        return f"{image} {system}, and {plan} is {known}: name a channel of that system"
    if not isinstance(names, list) or plan in names or any(str(name).startswith(GENERIC) for name in names):
        return None
    return f"{image} {', '.join(map(str, names))}, not for {plan}: publish an image for it, or name another channel"
