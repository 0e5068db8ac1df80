# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices: making, changing, acting on and ending them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from metal_lab.backends.base import Backend
from metal_lab.core import orders
from metal_lab.core.addresses import AddressPool, mac_of
from metal_lab.core.checks import Fields
from metal_lab.core.errors import NotFound, Unprocessable
from metal_lab.core.events import EventLog
from metal_lab.core.records import Device
from metal_lab.core.reservations import Reservations
from metal_lab.core.world import World

# For each action the states that it is allowed in.
ACTIONS = {
    "power_on": {"inactive"},
    "power_off": {"active", "failed"},
    "reboot": {"active"},
    "rescue": {"active", "inactive"},
    "reinstall": {"active", "inactive", "failed"},
}


class Devices:
    def __init__(self, world: World, events: EventLog, backend: Backend, reservations: Reservations) -> None:
        self._world = world
        self._reservations = reservations
        self._events = events
        self._backend = backend
        self._pool = AddressPool(world.settings.pool, (device.address for device in world.store.devices.values()))

    def get(self, device_id: str) -> Device:
        device = self._world.store.devices.get(device_id.lower())
        if device is None:
            raise NotFound
        return device

    def of_project(self, project_id: str) -> list[Device]:
        """Newest first."""
        found = [device for device in self._world.store.devices.values() if device.project_id == project_id]
        found.reverse()
        return found

    def at_address(self, address: str) -> Device | None:
        return next((d for d in self._world.store.devices.values() if d.address == address), None)

    @property
    def free_addresses(self) -> int:
        return self._pool.free

    # -- making ----------------------------------------------------------------------------------

    def order(self, project_id: str, body: Any) -> Device:
        """One device, on demand, on a reserved server, or a single spot instance."""
        fields = Fields(body)
        plan = orders.check_plan(fields, self._world.catalogue)
        system = orders.check_operating_system(fields, self._world.catalogue)
        spot = fields.flag("spot_instance")
        bid = fields.price("spot_price_max", required=spot)
        places = orders.wanted_places(fields, self._world.catalogue, "facility")
        if plan:
            places = orders.check_sold(fields, self._world, plan, places, spot=spot)
        values = orders.instance_values(fields) | {"ssh_keys": orders.chosen_keys(fields, self._world, project_id)}
        hostname = fields.hostname()
        if spot and fields.has("hardware_reservation_id"):
            fields.complain("hardware_reservation_id", "can't be given with spot_instance")
        reservation = self._reservations.wanted(fields, project_id, plan, places)
        fields.finish()
        assert plan is not None
        assert system is not None
        metro = reservation.metro if reservation else self._place_with_room(plan, places, bid)
        return self.make(
            project_id=project_id,
            hostname=hostname,
            plan=plan,
            metro=metro,
            operating_system=system,
            spot_instance=spot,
            spot_price_max=bid if spot else None,
            hardware_reservation_id=reservation.id if reservation else None,
            **values,
        )

    def _place_with_room(self, plan: str, places: list[str], bid: float | None) -> str:
        roomy = [place for place in places if self._world.free_capacity(plan, place) > 0]
        if not roomy:
            raise Unprocessable(f"The facility has no provisionable {plan} servers matching your criteria.")
        affordable = [place for place in roomy if bid is None or self._world.market.price(plan, place) <= bid]
        if not affordable:
            raise Unprocessable(f"spot_price_max is below the current market price of {plan} in {', '.join(roomy)}")
        return affordable[0]

    def make(self, *, hostname: str | None, **values: Any) -> Device:
        """Enter a device into the books; the state machine takes it from there."""
        now = self._world.clock.now()
        device_id = str(uuid.uuid4())
        device = Device(
            id=device_id,
            hostname=hostname or device_id[:8],
            address=self._pool.take(),
            mac=mac_of(device_id),
            created_at=now,
            updated_at=now,
            next_state="provisioning",
            next_state_at=now + self._world.settings.timing.queued,
            **values,
        )
        self._world.store.add(device)
        return device

    # -- changing --------------------------------------------------------------------------------

    def update(self, device: Device, body: Any) -> None:
        """A partial update: PUT and PATCH alike. Tags are replaced whole."""
        fields = Fields(body)
        changes = self._changes(fields)
        fields.finish()
        for name, value in changes.items():
            setattr(device, name, value)
        self._changed(device)

    @staticmethod
    def _changes(fields: Fields) -> dict[str, Any]:
        readers: dict[str, Callable[[str], Any]] = {
            "tags": fields.texts,
            "hostname": fields.hostname,
            "description": fields.text,
            "userdata": fields.text,
            "customdata": fields.mapping,
            "ipxe_script_url": fields.url,
            "always_pxe": fields.flag,
            "locked": fields.flag,
            "network_frozen": fields.flag,
            "spot_instance": fields.flag,
            "billing_cycle": fields.text,
            "firmware_set_id": fields.text,
        }
        changes: dict[str, Any] = {name: read(name) for name, read in readers.items() if name in fields.values}
        for name in ("hostname", "billing_cycle"):
            if name in changes and changes[name] is None:
                del changes[name]
        if changes.get("spot_instance") is False:
            # It becomes an on-demand machine, which nobody can outbid.
            changes |= {"spot_price_max": None, "spot_request_id": None, "termination_time": None}
        return changes

    def _changed(self, device: Device) -> None:
        device.updated_at = self._world.clock.now()
        self._world.store.touch(device)

    def move(self, device: Device, state: str, then: str | None = None, after: float = 0.0) -> None:
        """Enter a state, and perhaps plan the next one."""
        device.state = state
        device.next_state = then
        device.next_state_at = self._world.clock.now() + after if then else None
        self._changed(device)

    # -- acting ----------------------------------------------------------------------------------

    def act(self, device: Device, body: Any) -> None:
        fields = Fields(body)
        action = fields.text("type", required=True)
        if action is not None and action not in ACTIONS:
            fields.complain("type", f"'{action}' is not a valid action")
        fields.finish()
        assert action is not None
        if device.state not in ACTIONS[action]:
            raise Unprocessable(f"Device is {device.state}: {action} is not possible in this state")
        getattr(self, f"_{action}")(device, fields)

    def _power_on(self, device: Device, _fields: Fields) -> None:
        self.move(device, "powering_on", "active", self._world.settings.timing.power)
        self._backend.power_on(device)

    def _power_off(self, device: Device, _fields: Fields) -> None:
        self.move(device, "powering_off", "inactive", self._world.settings.timing.power)
        self._backend.power_off(device)

    def _reboot(self, device: Device, _fields: Fields) -> None:
        self._changed(device)
        self._backend.reset(device)

    def _rescue(self, device: Device, _fields: Fields) -> None:
        self.move(device, "active")
        self._backend.reset(device)

    def _reinstall(self, device: Device, fields: Fields) -> None:
        if fields.has("operating_system"):
            system = self._world.catalogue.find_operating_system(fields.values["operating_system"])
            if system is None:
                fields.complain("operating_system", "is not a valid operating system")
            else:
                device.operating_system = system
        url = fields.url("ipxe_script_url")
        keeps_data = fields.flag("preserve_data") or fields.flag("deprovision_fast")
        fields.finish()
        device.ipxe_script_url = url or device.ipxe_script_url
        device.wipes += not keeps_data
        self.move(device, "reinstalling")
        self._backend.reset(device)

    # -- ending ----------------------------------------------------------------------------------

    def delete(self, device: Device, *, force: bool = False) -> None:
        """Force goes past a state in which a machine is usually not ended, and not past a lock."""
        if device.locked:
            raise Unprocessable("Cannot delete a locked item.")
        early = device.state in ("queued", "provisioning") and not force
        if early and not self._world.settings.delete_while_provisioning:
            raise Unprocessable("Cannot delete a device while it is provisioning")
        self.end(device)

    def end(self, device: Device) -> None:
        """Take the machine away; its record goes when deprovisioning is over."""
        if device.state in ("deprovisioning", "deleted"):
            return
        self.move(device, "deprovisioning", "deleted", self._world.settings.timing.deprovisioning)
        self._backend.destroy(device)

    def forget(self, device: Device) -> None:
        self._pool.release(device.address)
        self._world.store.forget(device)
