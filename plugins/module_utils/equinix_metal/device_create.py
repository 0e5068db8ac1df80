# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Buying single machines so that none is bought twice.

Each purchase carries a tag with an id of its own, so that a machine whose purchase got no answer is found by that tag. Of two
controllers that buy for the same name at once, each looks again afterwards: the oldest machines stay, up to the wanted number, and
who bought a newer one withdraws it.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any, Callable

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import devices, ownership
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.device_order import Order
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    ApiError,
    BadAnswer,
    Doubtful,
    MetalError,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.spot_create import LOOKS, SETTLING_SECONDS

Device = dict[str, Any]


@dataclasses.dataclass
class Purchases:
    """What was bought, what of it stays, and what was withdrawn because others were first."""

    kept: list[Device]
    bought: list[str] = dataclasses.field(default_factory=list)
    withdrawn: list[str] = dataclasses.field(default_factory=list)


def find_own(client: Client, fleet: str, name: str) -> list[Device]:
    """The live machines of a name that were bought singly, oldest first."""
    found = devices.read_devices(client, tag=ownership.FLEET_TAG + fleet)
    return [device for device in found if device["state"] not in devices.GONE_STATES and _is_own(device, fleet, name)]


def _is_own(device: Device, fleet: str, name: str) -> bool:
    tags = device["tags"]
    by_name = ownership.marked(tags, ownership.FLEET_TAG) == fleet and ownership.marked(tags, ownership.BID_TAG) == name
    return by_name and any(tag.startswith(ownership.ORDER_TAG) for tag in tags)


def buy(client: Client, order: Order, missing: int, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> Purchases:
    """Buy the missing machines one by one, and withdraw what turns out to be too many."""
    bought: list[str] = []
    try:
        while len(bought) < missing:
            bought.append(_buy_one(client, order, new_id()))
    except MetalError as error:
        raise _partly(error, bought, missing) from error
    return _settle(client, order, bought)


def _buy_one(client: Client, order: Order, order_id: str) -> str:
    """The id of a machine bought now. The call is sent once; after a doubt the machine is looked for."""
    path = f"/projects/{client.settings.project_id}/devices"
    try:
        return str(_lean(client.post(path, order.body(order_id)))["id"])
    except Doubtful as doubt:
        found = _look_for(client, order_id)
        if found is None:
            raise _not_seen(order, order_id, doubt) from doubt
        return found


def _lean(answer: dict[str, Any]) -> Device:
    try:
        return devices.lean(answer)
    except BadAnswer as error:
        raise Doubtful(str(error), 201) from error


def _look_for(client: Client, order_id: str) -> str | None:
    tag = ownership.ORDER_TAG + order_id
    for pause in LOOKS:
        client.clock.sleep(pause)
        found = devices.read_devices(client, tag=tag)
        if found:
            return str(found[0]["id"])
    return None


def _not_seen(order: Order, order_id: str, doubt: ApiError) -> ApiError:
    return ApiError(
        f"{doubt} Whether a machine of the name {order.name} was bought is not known: the list of devices shows none with the tag "
        f"{ownership.ORDER_TAG}{order_id}. Nothing was sent again. Run this again later: a machine that was bought will be counted "
        "then, and not be bought twice.",
        doubt.status,
        doubt.url,
    )


def _partly(error: MetalError, bought: list[str], missing: int) -> MetalError:
    if not bought:
        return error
    return MetalError(f"{error} Of the {missing} machines that were missing, bought before this: {', '.join(bought)}.")


def _settle(client: Client, order: Order, bought: list[str]) -> Purchases:
    """Look again: the oldest machines stay, and of the others those that were bought here are withdrawn."""
    client.clock.sleep(SETTLING_SECONDS)
    live = find_own(client, order.fleet, order.name)
    kept, others = live[: order.count], live[order.count :]
    ours = [device["id"] for device in others if device["id"] in bought]
    for device_id in ours:
        withdraw(client, device_id)
    return Purchases(kept, [device_id for device_id in bought if device_id not in ours], ours)


def withdraw(client: Client, device_id: str, force: bool = False) -> bool:
    """End a machine. False when it was gone before."""
    return client.delete(f"/devices/{device_id}", {"force_delete": "true"} if force else None)
