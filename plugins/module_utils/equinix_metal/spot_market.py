# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exactly one live request for a declared bid, whatever happened before: never bought twice, and nothing foreign touched."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import catalogue
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import MetalError, Refused
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_bid import Bid
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_create import create, end, find_own
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_requests import Request

Ready = Callable[[Request], None]

REFUSE, CREATE_FIRST, END_FIRST = "refuse", "create_first", "end_first"


@dataclasses.dataclass
class Outcome:
    """What was found, what is there now (or would be, in check mode), and what was ended on the way."""

    before: list[Request]
    after: Request | None
    changed: bool = False
    ended: list[str] = dataclasses.field(default_factory=list)
    withdrawn: list[str] = dataclasses.field(default_factory=list)


def differences(request: Request, bid: Bid) -> dict[str, tuple[Any, Any]]:
    """In which terms a live request is not the declared one. What the API does not give back is not compared."""
    pairs = {name: (request[name], wanted) for name, wanted in bid.terms().items()}
    return {name: pair for name, pair in pairs.items() if pair[0] is not None and pair[0] != pair[1]}


def ensure_present(
    client: Client, bid: Bid, change: str, terminate_devices: bool, check_mode: bool, ready: Ready | None = None
) -> Outcome:
    """Make sure that one live request has the terms of the bid. Before a new one takes the place of an old one, `ready` waits for it."""
    mine = find_own(client, bid.fleet, bid.name)
    fitting = [request for request in mine if not differences(request, bid)]
    others = [request for request in mine if differences(request, bid)]
    kept = next((request for request in fitting if request["device_ids"]), fitting[0] if fitting else None)
    extra = [request for request in fitting if request is not kept]
    _check_change(bid, others, change)
    _check_machines(others + extra, terminate_devices)
    outcome = Outcome(before=mine, after=kept, changed=bool(kept is None or others or extra))
    if kept is None:
        catalogue.check_sold(client, bid.plan, bid.metro)
    if check_mode:
        outcome.after = kept or planned(bid)
        outcome.ended = [request["id"] for request in others + extra]
        return outcome
    first, last = (others, extra) if change == END_FIRST else ([], others + extra)
    try:
        _act(client, bid, terminate_devices, outcome, first, last, ready if last and others else None)
    except MetalError as error:
        raise _telling(error, outcome, first + last) from error
    return outcome


def _act(
    client: Client,
    bid: Bid,
    terminate_devices: bool,
    outcome: Outcome,
    first: list[Request],
    last: list[Request],
    ready: Ready | None,
) -> None:
    """End some, make what is missing, and when that is ready end the others."""
    for request in first:
        outcome.ended += end(client, request, terminate_devices)
    if outcome.after is None:
        known = {request["id"] for request in outcome.before}
        outcome.after, outcome.withdrawn = create(client, bid, known)
    if ready is not None:
        # Also for one that an earlier run made: its machines may not have come yet.
        ready(outcome.after)
    for request in last:
        outcome.ended += end(client, request, terminate_devices)


def _telling(error: MetalError, outcome: Outcome, replaced: list[Request]) -> MetalError:
    """The error, with how far a replacement had come: what was made, what ended, and what is still live beside it."""
    before = {request["id"] for request in outcome.before}
    made = [outcome.after["id"]] if outcome.after and outcome.after["id"] not in before else []
    live = [request["id"] for request in replaced if request["id"] not in outcome.ended]
    told = {"Made before this": made, "Ended before this": outcome.ended, "Not ended": live}
    if not made and not outcome.ended:
        return error
    words = " ".join(f"{name}: {', '.join(ids)}." for name, ids in told.items() if ids)
    return MetalError(f"{error} {words} What is live may cost money.")


def _check_change(bid: Bid, others: list[Request], change: str) -> None:
    if not others or change != REFUSE:
        return
    told = [
        f"{name} is {live} and should be {wanted}"
        for name, (live, wanted) in sorted(differences(others[0], bid).items())
    ]
    raise Refused(
        f"The request {others[0]['id']} of the bid {bid.name} is live with other terms: {', '.join(told)}. The API cannot change "
        "a request. Set change to create_first or end_first to replace it, or give the new bid another name."
    )


def _check_machines(requests: list[Request], terminate_devices: bool) -> None:
    with_machines = [request for request in requests if request["device_ids"]]
    if with_machines and not terminate_devices:
        told = [f"{request['id']} (machines {', '.join(request['device_ids'])})" for request in with_machines]
        raise Refused(
            f"To end {', '.join(told)} would leave machines that belong to no request and still cost money. Drain them, then set "
            "terminate_devices=true, which ends them with their request."
        )


def planned(bid: Bid) -> Request:
    """The request that would be made."""
    return {"id": None, **bid.terms(), "end_at": bid.end_at, "created_at": None, "device_ids": [], "name": bid.name}


def ensure_absent(
    client: Client, fleet: str, name: str | None, request_id: str | None, terminate_devices: bool, check_mode: bool
) -> Outcome:
    """Make sure that no live request has a bid's name, or that the request with an id is gone."""
    mine = find_own(client, fleet, name, request_id)
    outcome = Outcome(before=mine, after=None, changed=bool(mine))
    for request in mine:
        outcome.ended += [request["id"]] if check_mode else end(client, request, terminate_devices)
    return outcome
