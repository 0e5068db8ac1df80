# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists: live requests and single machines, the fleet's own and others', as providers listed them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ansible_collections.nixmetal.builders.plugins.module_utils.fleet.bids import dollars

Json = Mapping[str, Any]

GOING_STATES = frozenset(("deleted", "deprovisioning"))
# Machines that the autoscaler made are its own business, and what it was ready to pay stands in a tag.
AUTOSCALE_TAG = "nixmetal-autoscale="
PRICE_TAG = "nixmetal-usd-per-hour="


class Live(NamedTuple):
    """Everything that is live at all providers, each entry with its provider."""

    requests: list[Json]
    machines: list[Json]
    # Providers that do not list machines.
    blind: frozenset[str]

    def requests_of(self, bid: Json) -> list[Json]:
        return [
            request
            for request in self.requests
            if request["ours"] and (request["provider"], request["name"]) == (bid["provider"], bid["name"])
        ]

    def singles_of(self, bid: Json) -> list[Json]:
        """The machines of a bid that no request makes. Those of another kind are none of its, whatever their name."""
        return [machine for machine in self.singles() if _kept_by(machine) == _kept_by(bid)]

    def singles(self) -> list[Json]:
        """The fleet's machines that are no live request's. One whose bid has a request is taken for that request's: lists lag."""
        of_requests = {device for request in self.requests for device in request["device_ids"]}
        names = {(request["provider"], request["name"]) for request in self.requests if request["ours"]}
        return [
            machine
            for machine in self.machines
            if machine["ours"]
            and machine["state"] not in GOING_STATES
            and machine["id"] not in of_requests
            and (machine["provider"], machine["name"]) not in names
        ]

    def foreign(self) -> tuple[list[Json], list[Json]]:
        return (
            [request for request in self.requests if not request["ours"]],
            [machine for machine in self.machines if not machine["ours"]],
        )


def live_of(providers: Mapping[str, Json]) -> Live:
    """What the verb list of each provider told."""
    lists = {name: providers[name]["list"] for name in sorted(providers)}
    return Live(
        [{**request, "provider": name} for name, told in lists.items() for request in told["requests"]],
        [{**machine, "provider": name} for name, told in lists.items() for machine in told.get("machines", [])],
        frozenset(name for name, told in lists.items() if "machines" not in told),
    )


def request_cost(request: Json) -> Decimal:
    """What a live request may cost in an hour."""
    return Decimal(int(request["count"])) * dollars(request["max_bid_usd_per_hour"])


def machine_cost(machine: Json) -> Decimal | None:
    """What a single machine may cost in an hour; None when nobody tells."""
    if machine["max_usd_per_hour"] is not None:
        return dollars(machine["max_usd_per_hour"])
    told = [tag[len(PRICE_TAG) :] for tag in machine["tags"] if tag.startswith(PRICE_TAG)]
    return Decimal(told[0]) if told and told[0].replace(".", "", 1).isdigit() else None


def is_autoscaled(machine: Json) -> bool:
    return any(tag.startswith(AUTOSCALE_TAG) for tag in machine["tags"])


def undeclared(bids: Sequence[Json], live: Live) -> tuple[list[Json], list[Json]]:
    """Requests and single machines of the fleet that no bid declares (any more); those of the autoscaler among the latter."""
    spot = {(bid["provider"], bid["name"]) for bid in bids if bid["kind"] == "spot"}
    other = {_kept_by(bid) for bid in bids if bid["kind"] != "spot"}
    requests = [
        request for request in live.requests if request["ours"] and (request["provider"], request["name"]) not in spot
    ]
    return requests, [machine for machine in live.singles() if _kept_by(machine) not in other]


def _kept_by(item: Json) -> tuple[str, str | None, str]:
    """What a bid and its single machines have in common."""
    return item["provider"], item["name"], item["kind"]
