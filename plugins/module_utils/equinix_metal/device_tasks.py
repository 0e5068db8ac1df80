# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module for single machines does with its options, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal import (
    catalogue,
    device_create,
    device_order,
    device_tags,
    devices,
    ownership,
    spot_bid,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.client import Client
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.device_order import Order
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.device_wait import (
    wait_until_active,
    wait_until_gone,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal.errors import (
    Doubtful,
    MetalError,
    Refused,
    SettingError,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.tag_edits import Edit

Result = dict[str, Any]
Device = dict[str, Any]
Changes = dict[str, tuple[Any, Any]]


def apply(client: Client, options: dict[str, Any], check_mode: bool) -> Result:
    """Make machines present or absent."""
    work = _absent if options["state"] == "absent" else _present
    return work(client, options, check_mode)


# -- present -----------------------------------------------------------------------------------------


def _present(client: Client, options: dict[str, Any], check_mode: bool) -> Result:
    order = device_order.order_from_options(options)
    live = device_create.find_staying(client, order)
    kept, extra = live[: order.count], live[order.count :]
    _check_fixed(order, kept)
    changed = {device["id"]: _changes(client, order, device) for device in kept}
    changed = {device_id: pairs for device_id, pairs in changed.items() if pairs}
    missing = order.count - len(kept)
    if options["surplus"] == "end":
        _check_locks(extra, options)
    result = _planned(client, options, order, kept, extra, changed, missing)
    if not check_mode:
        _act(client, options, order, result, extra, changed, missing)
    return result


def _check_fixed(order: Order, kept: list[Device]) -> None:
    for device in kept:
        told = [
            f"{name} is {now} and should be {wanted}"
            for name, (now, wanted) in sorted(device_order.fixed_differences(order, device).items())
        ]
        if told:
            raise Refused(
                f"The machine {device['id']} of the name {order.name} is another than declared: {', '.join(told)}. This cannot be "
                "changed. End it first with state=absent and its device_id, or declare the new machines under another name."
            )


def _changes(client: Client, order: Order, device: Device) -> Changes:
    raw = devices.read_raw(client, device["id"])
    return {} if raw is None else device_order.changes(order, raw)


def _planned(
    client: Client,
    options: dict[str, Any],
    order: Order,
    kept: list[Device],
    extra: list[Device],
    changed: dict[str, Changes],
    missing: int,
) -> Result:
    """What is there and what would be done, which in check mode is the answer."""
    new: list[Device] = [_unborn(order) for _number in range(missing)]
    ended = [device["id"] for device in extra] if options["surplus"] == "end" else []
    result: Result = {
        "changed": bool(missing or changed or ended),
        "devices": kept + new,
        "device_ids": [device["id"] for device in kept],
        "updated": sorted(changed),
        "ended": ended,
        "surplus": [device["id"] for device in extra if device["id"] not in ended],
        "withdrawn": [],
        "max_cost_usd_per_hour": _checked_cost(
            client, options, order, [device for device in kept + extra if device["id"] not in ended], missing
        ),
        "diff": _diff(order, kept, changed, missing, ended),
        "warnings": [],
    }
    if result["surplus"]:
        result["warnings"].append(
            f"{len(extra)} machines more than count={order.count} are live, and go on to cost money: {', '.join(result['surplus'])}."
        )
    return result


def _unborn(order: Order) -> Device:
    return {
        "id": None,
        "hostname": order.fields.get("hostname"),
        "state": None,
        "tags": order.tags,
        "plan": order.plan,
        "metro": order.metros[0] if len(order.metros) == 1 else None,
        "spot": order.kind == "spot",
        "spot_price_max": order.fields.get("spot_price_max"),
        "ipxe_script_url": order.fields.get("ipxe_script_url"),
    }


def _diff(order: Order, kept: list[Device], changed: dict[str, Changes], missing: int, ended: list[str]) -> Result:
    sides: list[Result] = []
    for side in (0, 1):
        told: Result = {device["id"]: device_order.shown(changed.get(device["id"], {}), side) for device in kept}
        told.update({device_id: "live" for device_id in ended if side == 0})
        sides.append({"devices": told, "new": [_unborn(order)] * missing if side else []})
    return {"before": sides[0], "after": sides[1]}


def _checked_cost(
    client: Client, options: dict[str, Any], order: Order, staying: list[Device], missing: int
) -> float | None:
    """What all machines of the name cost at most, checked against the ceiling before anything is bought."""
    ceiling = options["cost_ceiling_usd_per_hour"]
    each = _price_of_one(client, order) if missing or ceiling is not None else None
    cost = None if each is None else _sum([*[each] * missing, *(_limit(device, each) for device in staying)])
    if ceiling is None or not missing:
        return cost
    if cost is None:
        raise Refused(f"The price of {order.plan} in {', '.join(order.metros)} is not known, and there is a ceiling.")
    if cost > float(ceiling) + spot_bid.CENT_PART:
        raise SettingError(
            f"{order.name} may cost {cost:.2f} USD per hour ({order.count} machines at {each:.2f}), more than "
            f"cost_ceiling_usd_per_hour, which is {float(ceiling):.2f}."
        )
    return cost


def _limit(device: Device, each: float) -> float | None:
    """What a live machine may cost: one of the spot market has a limit of its own."""
    limit: float | None = device["spot_price_max"] if device["spot"] else each
    return limit


def _sum(limits: Iterable[float | None]) -> float | None:
    told = list(limits)
    known = [limit for limit in told if limit is not None]
    return round(sum(known), 2) if len(known) == len(told) else None


def _price_of_one(client: Client, order: Order) -> float | None:
    if order.kind == "spot":
        return float(order.fields["spot_price_max"])
    if order.kind == "reserved":
        # It is paid for whether it is used or not.
        return 0.0
    return catalogue.dearest_on_demand(client, order.plan, order.metros)


def _act(
    client: Client,
    options: dict[str, Any],
    order: Order,
    result: Result,
    extra: list[Device],
    changed: dict[str, Changes],
    missing: int,
) -> None:
    for device_id, pairs in changed.items():
        _update(client, order, device_id, pairs)
    for device in extra if options["surplus"] == "end" else []:
        device_create.withdraw(client, device, options["force_delete"])
    purchases = device_create.buy(client, order, missing)
    result["withdrawn"] = purchases.withdrawn
    if purchases.withdrawn:
        result["warnings"].append(f"Another controller was first; withdrawn of ours: {', '.join(purchases.withdrawn)}.")
    result["device_ids"] = [device["id"] for device in purchases.kept]
    try:
        result["devices"] = (
            wait_until_active(client, result["device_ids"], options["wait_timeout"])
            if options["wait"]
            else purchases.kept
        )
    except MetalError as error:
        raise device_create.naming(error, purchases.bought) from error


def _update(client: Client, order: Order, device_id: str, pairs: Changes) -> None:
    """Send the declared values. Tags are shared with others, who may have edited them since they were read."""
    fields = {name: wanted for name, (_now, wanted) in pairs.items() if name != "tags"}
    if fields:
        _set_fields(client, device_id, fields)
    if "tags" in pairs:
        device_tags.change(client, order.fleet, {device_id: Edit(add=tuple(order.tags))})


def _set_fields(client: Client, device_id: str, body: dict[str, Any]) -> None:
    """After a lost answer, look whether the values are there."""
    try:
        client.put(f"/devices/{device_id}", body)
    except Doubtful as doubt:
        raw = devices.read_raw(client, device_id) or {}
        if any(raw.get(name) != value for name, value in body.items()):
            raise MetalError(f"{doubt} The machine {device_id} does not show the change. Run this again.") from doubt


# -- absent ------------------------------------------------------------------------------------------


def _absent(client: Client, options: dict[str, Any], check_mode: bool) -> Result:
    fleet = spot_bid.check_name(options["fleet"], "fleet")
    name, device_id = options["name"], options["device_id"]
    if bool(name) == bool(device_id):
        raise SettingError("state=absent needs either the name of the machines or one device_id.")
    found = _one(client, fleet, device_id) if device_id else device_create.find_own(client, fleet, _checked(name))
    ids = [device["id"] for device in found]
    _check_locks(found, options)
    if not check_mode:
        _end(client, found, options)
    return {
        "changed": bool(ids),
        "devices": [],
        "device_ids": [],
        "updated": [],
        "ended": ids,
        "surplus": [],
        "withdrawn": [],
        "diff": {
            "before": {"devices": {device["id"]: device["state"] for device in found}},
            "after": {"devices": {}},
        },
    }


def _checked(name: Any) -> str:
    return spot_bid.check_name(name, "name")


def _one(client: Client, fleet: str, device_id: str) -> list[Device]:
    device = devices.read_device(client, device_id)
    if device is None or device["state"] in devices.GONE_STATES:
        return []
    ownership.check_owner(device, fleet, client.settings.project_id)
    return [device]


def _check_locks(found: list[Device], options: dict[str, Any]) -> None:
    """Refuse to end locked machines, before anything is done and in check mode too."""
    locked = [device["id"] for device in found if device["locked"]]
    if locked and not options["force_delete"]:
        raise Refused(
            f"These machines are locked against being ended: {', '.join(locked)}. Unlock them first (state=present with locked=false)."
        )


def _end(client: Client, found: list[Device], options: dict[str, Any]) -> None:
    for device in found:
        device_create.withdraw(client, device, options["force_delete"])
    if options["wait"]:
        wait_until_gone(client, [device["id"] for device in found], options["wait_timeout"])
