# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines, queues and settings for the tests and the simulator of the autoscaler."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale import Readings, autoscale_plan
from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.autoscale_settings import (
    Limits,
    Settings,
    read_classes,
)

FACTS = Path(__file__).resolve().parents[2] / "docs/contracts/examples/builder-facts/good/ready.json"
READY = json.loads(FACTS.read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FLEET = "lab"
HOUR = 3600


def offer(**changes: Any) -> dict[str, Any]:
    return {
        "provider": "equinix_metal",
        "plan": "c3.small.x86",
        "metros": ["am", "da"],
        "max_bid_usd_per_hour": 0.5,
        "channel": "stable",
        **changes,
    }


def size(**changes: Any) -> dict[str, Any]:
    """A class whose readings need not last, so that one run shows what a test is about."""
    return {
        "name": "small",
        "systems": ["x86_64-linux"],
        "max": 5,
        "divisor": 10,
        "grace_seconds": 0,
        "cool_down_seconds": 0,
        "billing_period_seconds": 0,
        "offers": [offer()],
        **changes,
    }


def settings(*classes: dict[str, Any], **limits: Any) -> Settings:
    values = {
        "fleet": FLEET,
        "owner": "autoscale",
        "ceiling_usd_per_hour": 100,
        "max_creations": 50,
        "max_removals": 50,
    }
    return Settings(Limits(**{**values, **limits}), read_classes(classes or (size(),)))


def machine(number: int, age: float | None = HOUR, tags: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """The facts of a machine that the autoscaler bought, with what a test changes."""
    created = None if age is None else (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    own = ["nixmetal-autoscale=small.c3-small-x86", "nixmetal-usd-per-hour=0.5"]
    facts = {
        **copy.deepcopy(READY),
        "builder_id": f"m{number}",
        "builder_created_at": created,
        "builder_spot": None,
        "builder_tags": ["nixmetal-fleet=lab", *own, *tags],
    }
    return {**facts, **changes}


def drained(number: int, owner: str = "autoscale", **changes: Any) -> dict[str, Any]:
    return machine(number, tags=("skip-hydra", f"drained-by={owner}"), builder_draining=True, **changes)


def requested(number: int, request: str = "r1", **changes: Any) -> dict[str, Any]:
    spot = {"request_id": request, "bid": "base", "termination_time": None}
    return machine(number, builder_spot=spot, **changes)


def waiting(runnable: int, system: str = "x86_64-linux", features: list[str] | None = None) -> dict[str, Any]:
    return {"system": system, "features": [] if features is None else features, "runnable": runnable, "running": 0}


def jobs(**numbers: int | None) -> dict[str, Any]:
    return {name: {"jobs": number, "source": "hydra", "label": name, "reason": ""} for name, number in numbers.items()}


def readings(*builders: dict[str, Any], runnable: int | None = 0, **changes: Any) -> Readings:
    values: dict[str, Any] = {
        "builders": builders,
        "queue": None if runnable is None else [waiting(runnable)],
        "queue_reason": "Hydra is down" if runnable is None else "",
        "jobs": {facts.get("builder_id"): {"jobs": 0} for facts in builders},
        "requests": [],
        "offers": {},
        "prices": {},
        "blocked": {},
        "state": None,
        "now": NOW,
    }
    return Readings(**{**values, **changes})


def request(
    name: str = "r1", count: int = 1, bid: float = 0.5, ours: bool = True, ids: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "id": name,
        "name": "base",
        "count": count,
        "max_bid_usd_per_hour": bid,
        "ours": ours,
        "device_ids": list(ids),
    }


def plan(taken: Readings, declared: Settings | None = None) -> dict[str, Any]:
    return autoscale_plan(taken, declared or settings())


def bought(answer: dict[str, Any]) -> int:
    return sum(entry["new"] for entry in answer["create"])


def reason_of(answer: dict[str, Any], name: str) -> str:
    return next(str(entry["reason"]) for entry in answer["decisions"] if entry["builder"] == name)
