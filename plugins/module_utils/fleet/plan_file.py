# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan that is written down, looked at, and applied later if it still is what would be done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.errors import FleetError

Json = Mapping[str, Any]

SCHEMA = 1


def plan_document(plan: Json, fleet: str) -> dict[str, Any]:
    """What is to be done, without what may change meanwhile: prices, and machines that a kept request has got."""
    return {
        "schema": SCHEMA,
        "fleet": fleet,
        "ceiling_usd_per_hour": plan["ceiling_usd_per_hour"],
        "changes": has_changes(plan),
        "requests": sorted(plan["requests"], key=lambda request: str(request["bid"]["name"])),
        "ends": sorted(plan["ends"], key=lambda end: (end["provider"], str(end["request_id"]), end["device_ids"])),
        "kept": {bid["name"]: bid["request_id"] for bid in plan["bids"] if bid["action"] == "keep"},
        "paused": sorted(plan["pause"]),
    }


def has_changes(plan: Json) -> bool:
    """Whether anything is bought or ended."""
    return bool(plan["create"] or plan["change"] or plan["ends"])


def parse_document(text: str) -> dict[str, Any]:
    """A document as it was written."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise FleetError(f"the plan is none of schema {SCHEMA}: make it anew with spot_fleet_plan_out")
    return document


def differences(document: Json, now: Json) -> list[str]:
    """In what reality or the settings have moved since the document was written."""
    return [
        words
        for name in sorted(set(document) | set(now))
        for words in _differs(name, document.get(name), now.get(name))
    ]


def _differs(name: str, then: Any, now: Any) -> list[str]:
    if then == now:
        return []
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        return [
            words
            for key in sorted(set(then) | set(now))
            for words in _differs(f"{name} {key}", then.get(key), now.get(key))
        ]
    if _is_table(then) and _is_table(now):
        return _differs(name, _by_key(then), _by_key(now))
    return [f"{name}: planned {_shown(then)}, now {_shown(now)}"]


def _is_table(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value)


def _by_key(rows: Sequence[Json]) -> dict[str, Json]:
    """Rows by what they are about: a bid, a request, a machine."""
    return {
        str(row["bid"]["name"]) if "bid" in row else str(row.get("request_id") or row.get("device_ids")): row
        for row in rows
    }


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, sort_keys=True)[:160]
