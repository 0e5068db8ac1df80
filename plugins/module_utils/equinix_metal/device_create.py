# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Buying single machines so that none is bought twice.

Each purchase carries a tag with an id of its own, so that a machine whose purchase got no answer is found by that tag. Of two
controllers that buy for the same name at once, each looks again afterwards: the oldest machines stay, up to the wanted number, and
who bought a newer one withdraws it.
"""

from __future__ import annotations

import contextlib
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
    NotFound,
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


def find_staying(client: Client, order: Order) -> list[Device]:
    """Those of them that an order counts."""
    found = find_own(client, order.fleet, order.name)
    return [device for device in found if device["id"].lower() not in order.leaving]


def _is_own(device: Device, fleet: str, name: str) -> bool:
    tags = device["tags"]
    by_name = ownership.marked(tags, ownership.FLEET_TAG) == fleet and ownership.marked(tags, ownership.BID_TAG) == name
    return by_name and any(tag.startswith(ownership.ORDER_TAG) for tag in tags)


def buy(client: Client, order: Order, missing: int, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> Purchases:
    """Buy the missing machines one by one, and withdraw what turns out to be too many. No error loses what was bought."""
    bought: list[Device] = []
    try:
        while len(bought) < missing:
            bought.append(_buy_one(client, order, new_id()))
        return _settle(client, order, bought)
    except MetalError as error:
        raise naming(error, [device["id"] for device in bought]) from error


def naming(error: MetalError, bought: list[str]) -> MetalError:
    """The error, with the machines that were bought before it."""
    if not bought:
        return error
    return MetalError(f"{error} Bought before this, live, and costing money: {', '.join(bought)}.")


def _buy_one(client: Client, order: Order, order_id: str) -> Device:
    """A machine bought now. The call is sent once; after a doubt the machine is looked for."""
    path = f"/projects/{client.settings.project_id}/devices"
    try:
        return _lean(client.post(path, order.body(order_id)))
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


def _look_for(client: Client, order_id: str) -> Device | None:
    tag = ownership.ORDER_TAG + order_id
    for pause in LOOKS:
        client.clock.sleep(pause)
        found = devices.read_devices(client, tag=tag)
        if found:
            return found[0]
    return None


def _not_seen(order: Order, order_id: str, doubt: ApiError) -> ApiError:
    return ApiError(
        f"{doubt} Whether a machine of the name {order.name} was bought is not known: the list of devices shows none with the tag "
        f"{ownership.ORDER_TAG}{order_id}. Nothing was sent again. Run this again later: a machine that was bought will be counted "
        "then, and not be bought twice.",
        doubt.status,
        doubt.url,
    )


def _settle(client: Client, order: Order, bought: list[Device]) -> Purchases:
    """Look again: the oldest machines stay, and of the others those that were bought here are withdrawn."""
    if bought:
        client.clock.sleep(SETTLING_SECONDS)
    live = _with_bought(find_staying(client, order), bought)
    ids = [device["id"] for device in bought]
    ours = [device for device in live[order.count :] if device["id"] in ids]
    for device in ours:
        # Its lock was asked for with it, and protects nobody's work yet.
        withdraw(client, device, force=True)
    withdrawn = [device["id"] for device in ours]
    return Purchases(live[: order.count], [device_id for device_id in ids if device_id not in withdrawn], withdrawn)


def _with_bought(live: list[Device], bought: list[Device]) -> list[Device]:
    """The list may lag behind, which is no reason to doubt what was answered to a purchase."""
    seen = {device["id"] for device in live}
    added = [device for device in bought if device["id"] not in seen]
    return sorted(live + added, key=devices.by_age)


def withdraw(client: Client, device: Device, force: bool = False) -> bool:
    """End a machine, also a locked one if forced. False when it was gone before."""
    path = f"/devices/{device['id']}"
    if force and device["locked"]:
        _unlock(client, path)
    return client.delete(path, {"force_delete": "true"} if force else None)


def _unlock(client: Client, path: str) -> None:
    """Take the lock away: `force_delete` is said to detach volumes, and not to go past a lock."""
    # If the lock is still there afterwards, the API refuses what follows, and says so.
    with contextlib.suppress(NotFound, Doubtful):
        client.put(path, {"locked": False})
