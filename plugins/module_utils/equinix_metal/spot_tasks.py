# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the spot market modules do with their options, and what they answer."""

from __future__ import annotations

from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    ownership,
    query,
    spot_bid,
    spot_market,
    spot_requests,
    spot_wait,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_market import Outcome

Result = dict[str, Any]

SHOWN = (
    "id",
    "name",
    "ours",
    "plan",
    "metro",
    "max_bid_price",
    "devices_min",
    "devices_max",
    "end_at",
    "created_at",
    "device_ids",
)


def apply(client: Client, options: dict[str, Any], check_mode: bool) -> Result:
    """Make a request present or absent."""
    if options["state"] == "absent":
        return _absent(client, options, check_mode)
    bid = spot_bid.bid_from_options(options)
    change, terminate, timeout = options["change"], options["terminate_devices"], options["wait_timeout"]

    def ready(request: dict[str, Any]) -> None:
        spot_wait.wait_for_devices(client, request["id"], bid.fleet, bid.devices_min, bid.devices_max, timeout)

    outcome = spot_market.ensure_present(client, bid, change, terminate, check_mode, ready if options["wait"] else None)
    result = _result(outcome)
    result["max_cost_usd_per_hour"] = bid.most_usd_per_hour
    if options["wait"] and not check_mode:
        _add_machines(client, bid, timeout, result)
    return result


def _absent(client: Client, options: dict[str, Any], check_mode: bool) -> Result:
    fleet = spot_bid.check_name(options["fleet"], "fleet")
    name, request_id = options["name"], options["request_id"]
    if not name and not request_id:
        raise SettingError("state=absent needs the name of the bid or the request_id.")
    if name:
        spot_bid.check_name(name, "name")
    terminate = options["terminate_devices"]
    result = _result(spot_market.ensure_absent(client, fleet, name, request_id, terminate, check_mode))
    if result["device_ids"] and not terminate:
        left = ", ".join(result["device_ids"])
        result["warnings"] = [f"These machines belong to no request now, and go on to cost money: {left}."]
    return result


def _result(outcome: Outcome) -> Result:
    after = shown(outcome.after) if outcome.after else None
    result: Result = {
        "changed": outcome.changed,
        "request": after,
        "device_ids": after["device_ids"] if after else [],
        "ended": outcome.ended,
        "withdrawn": outcome.withdrawn,
        "diff": {"before": _for_diff(outcome.before), "after": _for_diff([outcome.after] if outcome.after else [])},
    }
    if outcome.after is None:
        result["device_ids"] = [device_id for request in outcome.before for device_id in request["device_ids"]]
    if outcome.withdrawn:
        result["warnings"] = [
            (
                f"Another controller made the request {after and after['id']} first; "
                f"ours, {', '.join(outcome.withdrawn)}, was withdrawn."
            )
        ]
    return result


def shown(request: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a request."""
    return {"ours": True, "name": None, **{name: request[name] for name in SHOWN if name in request}}


def _for_diff(requests: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "requests": [{name: value for name, value in shown(request).items() if name != "ours"} for request in requests]
    }


def _add_machines(client: Client, bid: spot_bid.Bid, timeout: float, result: Result) -> None:
    request_id = result["request"]["id"]
    seen, warning = spot_wait.wait_for_devices(client, request_id, bid.fleet, bid.devices_min, bid.devices_max, timeout)
    result["devices"] = seen["devices"]
    result["device_ids"] = [device["id"] for device in seen["devices"]]
    result["request"] = {**result["request"], "device_ids": result["device_ids"]}
    result["fulfilled"] = warning is None
    if warning is not None:
        result.setdefault("warnings", []).append(warning)


def inform(client: Client, options: dict[str, Any]) -> Result:
    """List the live requests, and say whose they are."""
    fleet = options["fleet"]
    names = [spot_bid.check_name(name, "names") for name in options["names"] or []]
    if fleet is not None:
        _check_marks(spot_bid.check_name(fleet, "fleet"), names)
    requests = spot_requests.read_requests(client)
    if fleet is not None:
        requests = spot_requests.with_owners(client, requests, fleet, names)
    listed = [
        {**shown({"ours": False, **request}), "contradicts": request.get("contradicts", False)} for request in requests
    ]
    return query.with_answer({"changed": False, "requests": listed}, "requests", options.get("query"))


def _check_marks(fleet: str, names: list[str]) -> None:
    """Refuse two bids whose requests could not be told apart."""
    by_end: dict[Any, str] = {}
    for name in names:
        other = by_end.setdefault(ownership.end_of(fleet, name), name)
        if other != name:
            raise SettingError(
                f"Requests of the bids {other} and {name} of the fleet {fleet} would carry the same mark. Rename one of them."
            )
