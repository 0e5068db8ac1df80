# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reserved servers: paid for whether they are used or not, and each used by one device at a time."""

from __future__ import annotations

import uuid
from typing import Any

from metal_lab.core.catalogue import stable_id
from metal_lab.core.checks import Fields
from metal_lab.core.errors import NotFound, Unprocessable
from metal_lab.core.records import Device, Reservation
from metal_lab.core.world import World

NEXT = "next-available"


class Reservations:
    def __init__(self, world: World) -> None:
        self._world = world
        for configured in world.settings.reservations:
            for number in range(configured.count):
                key = stable_id("reservation", configured.plan, configured.metro, str(configured.spare), str(number))
                if key not in world.store.reservations:
                    self._enter(key, configured.plan, configured.metro, spare=configured.spare)

    def add(self, plan: str, metro: str, *, spare: bool = False) -> Reservation:
        return self._enter(str(uuid.uuid4()), plan, metro, spare=spare)

    def _enter(self, key: str, plan: str, metro: str, *, spare: bool) -> Reservation:
        project, now = self._world.settings.project_id, self._world.clock.now()
        reservation = Reservation(key, project, plan, metro, now, spare=spare)
        self._world.store.add(reservation)
        return reservation

    def get(self, reservation_id: str) -> Reservation:
        found = self._world.store.reservations.get(reservation_id.lower())
        if found is None:
            raise NotFound
        return found

    def of_project(self, project_id: str) -> list[Reservation]:
        return [item for item in self._world.store.reservations.values() if item.project_id == project_id]

    def device_on(self, reservation: Reservation) -> Device | None:
        devices = self._world.store.devices.values()
        return next((device for device in devices if device.hardware_reservation_id == reservation.id), None)

    def provisionable(self, reservation: Reservation) -> bool:
        unfit = reservation.spare or reservation.need_of_service
        return not unfit and self.device_on(reservation) is None

    def wanted(self, fields: Fields, project_id: str, plan: str | None, places: list[str]) -> Reservation | None:
        """The reserved server that an order names, by id or as the next one; None when it names none."""
        name = fields.text("hardware_reservation_id")
        if name is None or plan is None or fields.complaints:
            return None
        if name.lower() != NEXT:
            return self._named(name, project_id, plan, places)
        fitting = [item for item in self.of_project(project_id) if item.plan == plan and item.metro in places]
        free = [item for item in fitting if self.provisionable(item)]
        if not free:
            raise Unprocessable(f"There is no available hardware reservation of {plan} in {', '.join(places)}")
        return min(free, key=lambda item: places.index(item.metro))

    def _named(self, name: str, project_id: str, plan: str, places: list[str]) -> Reservation:
        found = self._world.store.reservations.get(name.lower())
        if found is None or found.project_id != project_id:
            raise Unprocessable(f"hardware_reservation_id '{name}' could not be found")
        wrong = {"plan": found.plan != plan, "metro": found.metro not in places}
        if any(wrong.values()):
            told = " and ".join(word for word, differs in wrong.items() if differs)
            raise Unprocessable(f"The hardware reservation {found.id} is of another {told}")
        if not self.provisionable(found):
            raise Unprocessable(f"The hardware reservation {found.id} is not provisionable")
        return found

    def change(self, reservation: Reservation, **values: Any) -> None:
        for name, value in values.items():
            setattr(reservation, name, value)
        self._world.store.touch(reservation)

    def is_broken(self, device: Device) -> bool:
        """True when the device stands on a server that does not come up."""
        key = device.hardware_reservation_id
        return key is not None and key in self._world.store.reservations and self._world.store.reservations[key].broken
