# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spot market requests: bids that are filled while the price allows it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from metal_lab.core import orders
from metal_lab.core.checks import Fields
from metal_lab.core.devices import Devices
from metal_lab.core.errors import NotFound
from metal_lab.core.records import Device, SpotRequest
from metal_lab.core.world import GONE, World


class SpotMarket:
    def __init__(self, world: World, devices: Devices) -> None:
        self._world = world
        self._devices = devices

    def get(self, request_id: str) -> SpotRequest:
        request = self._world.store.spot_requests.get(request_id.lower())
        if request is None:
            raise NotFound
        return request

    def of_project(self, project_id: str) -> list[SpotRequest]:
        """Newest first."""
        found = [request for request in self._world.store.spot_requests.values() if request.project_id == project_id]
        found.reverse()
        return found

    def devices_of(self, request: SpotRequest) -> list[Device]:
        return [device for device in self._world.store.devices.values() if device.spot_request_id == request.id]

    # -- ordering --------------------------------------------------------------------------------

    def order(self, project_id: str, body: Any) -> SpotRequest:
        fields = Fields(body)
        least = fields.count("devices_min", 1)
        most = fields.count("devices_max", 1)
        if least is not None and most is not None and most < least:
            fields.complain("devices_max", "must be greater than or equal to devices_min")
        bid = fields.price("max_bid_price", required=True)
        end_at = fields.moment("end_at")
        if end_at is not None and end_at <= self._world.clock.now():
            fields.complain("end_at", "must be in the future")
        instance = Fields(fields.values.get("instance_parameters"), "instance_parameters.")
        plan, values = self._instance(instance, project_id)
        fields.complaints += instance.complaints
        places = orders.wanted_places(fields, self._world.catalogue, "facilities")
        if plan:
            places = orders.check_sold(fields, self._world, plan, places, spot=True)
        fields.finish()
        assert plan is not None
        assert least is not None
        assert most is not None
        assert bid is not None
        request = SpotRequest(
            id=str(uuid.uuid4()),
            project_id=project_id,
            plan=plan,
            metro=places[0],
            devices_min=least,
            devices_max=most,
            max_bid_price=round(bid, 2),
            created_at=self._world.clock.now(),
            end_at=end_at,
            by_facility=not fields.values.get("metro"),
            instance=values,
        )
        self._world.store.add(request)
        return request

    def _instance(self, fields: Fields, project_id: str) -> tuple[str | None, dict[str, Any]]:
        plan = orders.check_plan(fields, self._world.catalogue)
        values = orders.instance_values(fields)
        values["operating_system"] = orders.check_operating_system(fields, self._world.catalogue)
        values["ssh_keys"] = orders.chosen_keys(fields, self._world, project_id)
        values["hostname"] = fields.hostname()
        values["hostnames"] = fields.hostnames()
        return plan, values

    # -- the market ------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        live: dict[str, list[Device]] = defaultdict(list)
        single = []
        for device in self._world.store.devices.values():
            if device.state in GONE or device.spot_price_max is None:
                continue
            if device.spot_request_id is None:
                single.append(device)
            else:
                live[device.spot_request_id].append(device)
        for request in list(self._world.store.spot_requests.values()):
            self._tick_request(request, live[request.id], now)
        self._outbid([device for device in single if self._too_dear(device)], now)

    def _tick_request(self, request: SpotRequest, live: list[Device], now: float) -> None:
        if request.end_at is not None and request.end_at <= now:
            self.delete(request, force_termination=True)
        elif self._world.market.price(request.plan, request.metro) > request.max_bid_price:
            self._outbid(live, now)
        elif request.created_at + self._world.settings.timing.spot_fill <= now:
            self._fill(request, len(live))

    def _too_dear(self, device: Device) -> bool:
        return self._world.market.price(device.plan, device.metro) > (device.spot_price_max or 0)

    def _fill(self, request: SpotRequest, live: int) -> None:
        """Make what is missing, up to devices_max; nothing when devices_min cannot be reached."""
        if live >= request.devices_max:
            return
        room = min(self._world.free_capacity(request.plan, request.metro), self._devices.free_addresses)
        if live + room < request.devices_min:
            return
        for _number in range(min(room, request.devices_max - live)):
            self._make_device(request)

    def _make_device(self, request: SpotRequest) -> None:
        values = dict(request.instance)
        template, hostnames = values.pop("hostname"), values.pop("hostnames")
        index = request.devices_made
        hostname = hostnames[index] if index < len(hostnames) else template
        self._devices.make(
            project_id=request.project_id,
            hostname=hostname.replace("{{index}}", str(index)) if hostname else None,
            plan=request.plan,
            metro=request.metro,
            spot_instance=True,
            spot_price_max=request.max_bid_price,
            spot_request_id=request.id,
            **values,
        )
        request.devices_made += 1
        self._world.store.touch(request)

    def _outbid(self, devices: list[Device], now: float) -> None:
        """Two minutes of notice, once; a price that falls again takes nothing back."""
        for device in devices:
            if device.termination_time is None:
                device.termination_time = now + self._world.settings.timing.outbid_notice
                self._world.store.touch(device)

    # -- ending ----------------------------------------------------------------------------------

    def delete(self, request: SpotRequest, *, force_termination: bool) -> None:
        """Without force its machines stay; they belong to no request any more."""
        for device in self.devices_of(request):
            if force_termination:
                self._devices.end(device)
            else:
                device.spot_request_id = None
                self._world.store.touch(device)
        self._world.store.forget(request)
