# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A declared machine: checked before anything is sent, turned into what the API is asked for, and compared with what is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import ownership, spot_bid, values
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.arguments import DEVICE_FIELDS, UPDATABLE
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import SettingError

ANY_METRO = "any"
SECRET = frozenset({"userdata"})


@dataclasses.dataclass(frozen=True)
class Order:
    """What a fleet wants: so many machines of a name, alike but for their ids."""

    fleet: str
    name: str
    plan: str
    metros: tuple[str, ...]
    count: int
    fields: Mapping[str, Any]
    # Machines that are about to go, by id: they do not count.
    leaving: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        if self.fields.get("spot_price_max") is not None:
            return "spot"
        return "reserved" if self.fields.get("hardware_reservation_id") else "on_demand"

    @property
    def tags(self) -> list[str]:
        return [*(self.fields.get("tags") or []), *ownership.marks(self.fleet, self.name)]

    def body(self, order_id: str) -> dict[str, Any]:
        """The body of the call that buys one machine. The purchase has an id of its own, which a list of devices shows."""
        body = {name: value for name, value in self.fields.items() if value is not None}
        body["plan"] = self.plan
        body["metro"] = list(self.metros)
        body["tags"] = [*self.tags, ownership.ORDER_TAG + order_id]
        if self.kind == "spot":
            body["spot_instance"] = True
        return body


def order_from_options(options: Mapping[str, Any]) -> Order:
    """The machines that a module's options declare."""
    order = Order(
        fleet=spot_bid.check_name(options.get("fleet"), "fleet"),
        name=spot_bid.check_name(options.get("name"), "name"),
        plan=spot_bid.needed(options, "plan").lower(),
        metros=tuple(metro.lower() for metro in options.get("metros") or []),
        count=spot_bid.count(options, "count", 1),
        fields={name: options.get(name) for name in DEVICE_FIELDS if name != "plan"},
        leaving=frozenset(device_id.lower() for device_id in options.get("leaving") or []),
    )
    if not order.metros:
        raise SettingError("metros must name at least one metro, or any.")
    _check_kind(order)
    spot_bid.check_instance(order.fields)
    return order


def _check_kind(order: Order) -> None:
    price, reservation = order.fields.get("spot_price_max"), order.fields.get("hardware_reservation_id")
    if price is not None:
        spot_bid.price(price, "spot_price_max")
    if price is not None and reservation:
        raise SettingError(
            "A machine is either of the spot market (spot_price_max) or reserved (hardware_reservation_id)."
        )
    if reservation and reservation != "next-available" and order.count > 1:
        raise SettingError(
            f"hardware_reservation_id names one reserved server, and count is {order.count}: use next-available, or one task for each."
        )


def fixed_differences(order: Order, device: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """In what a machine differs that cannot be changed: what it is, and what is declared."""
    system, reservation = order.fields["operating_system"], order.fields.get("hardware_reservation_id")
    pairs = {
        "plan": (device["plan"], order.plan),
        "operating_system": (device["operating_system"], system),
        "kind": (_kind(device), order.kind),
    }
    if order.kind == "spot":
        pairs["spot_price_max"] = (device["spot_price_max"], order.fields["spot_price_max"])
    if ANY_METRO not in order.metros:
        pairs["metro"] = (device["metro"], device["metro"] if device["metro"] in order.metros else order.metros[0])
    if reservation and reservation != "next-available":
        pairs["hardware_reservation_id"] = (device["reservation_id"], reservation.lower())
    # An operating system may be declared by its id, which the slug does not tell.
    known = {name: pair for name, pair in pairs.items() if pair[0] is not None}
    return {
        name: pair
        for name, pair in known.items()
        if pair[0] != pair[1] and not (name == "operating_system" and len(system) == 36)
    }


def _kind(device: Mapping[str, Any]) -> str:
    if device["spot"]:
        return "spot"
    return "reserved" if device["reservation_id"] else "on_demand"


def missing_tags(order: Order, tags: Iterable[str]) -> tuple[str, ...]:
    """The declared tags that a machine lacks. They are a minimum, so nothing is said of others."""
    seen = set(tags)
    return tuple(tag for tag in dict.fromkeys(order.tags) if tag not in seen)


def changes(order: Order, raw: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What shall change: what the field is now, and what is declared."""
    found = {}
    for name in UPDATABLE:
        wanted, now = order.fields.get(name), raw.get(name)
        if wanted is not None and (now or None) != (wanted or None):
            found[name] = (now, wanted)
    tags = values.texts(raw.get("tags"))
    missing = missing_tags(order, tags)
    if missing:
        found["tags"] = (tags, [*tags, *missing])
    return found


def shown(pairs: Mapping[str, tuple[Any, Any]], side: int) -> dict[str, Any]:
    """One side of changes for a diff, without secrets."""
    hidden = ("(as it was)", "(as declared)")
    return {name: hidden[side] if name in SECRET else pair[side] for name, pair in sorted(pairs.items())}
