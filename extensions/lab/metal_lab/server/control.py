# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own endpoints under /lab/: faults, prices, capacity, the clock, machines."""

from __future__ import annotations

import hmac
import ipaddress
from collections import Counter
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from metal_lab.core.errors import ApiError, Unprocessable
from metal_lab.core.records import to_json
from metal_lab.core.settings import LimitSettings
from metal_lab.server.faults import Fault
from metal_lab.server.http import answer, lab_of

TOKEN_HEADER = "x-lab-token"  # noqa: S105


def may_control(request: Request) -> bool:
    """The lab token, or a caller on the emulator's own loopback address."""
    expected = lab_of(request).cloud.settings.control_token
    given = request.headers.get(TOKEN_HEADER, "")
    if expected is not None and hmac.compare_digest(given.encode(), expected.encode()):
        return True
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


async def require_control(request: Request) -> None:
    if not may_control(request):
        raise ApiError(403, "Needs the header X-Lab-Token with the setting control_token, or a loopback address")


router = APIRouter(prefix="/lab", dependencies=[Depends(require_control)])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Price(_Body):
    plan: str
    metro: str
    price: float = Field(gt=0)


class Capacity(_Body):
    plan: str
    metro: str
    count: int = Field(ge=0)


class NewReservation(_Body):
    plan: str
    metro: str
    spare: bool = False


class ReservationState(_Body):
    need_of_service: bool | None = None
    spare: bool | None = None
    broken: bool | None = None


class Advance(_Body):
    seconds: float = Field(gt=0, le=366 * 86400)


class MachineEvent(_Body):
    code: str
    message: str = ""


@router.get("/health")
async def health(request: Request) -> Response:
    cloud = lab_of(request).cloud
    counts = {"devices": len(cloud.store.devices), "spot_market_requests": len(cloud.store.spot_requests)}
    states = Counter(device.state for device in cloud.store.devices.values())
    told = {"status": "ok", "backend": cloud.settings.backend, "now": cloud.clock.now(), "states": states}
    return answer(told | counts)


# -- faults ------------------------------------------------------------------------------------------


@router.get("/faults")
async def list_faults(request: Request) -> Response:
    return answer({"faults": [rule.model_dump() for rule in lab_of(request).faults.rules]})


@router.post("/faults")
async def add_fault(request: Request, fault: Fault) -> Response:
    return answer(lab_of(request).faults.add(fault).model_dump(), 201)


@router.delete("/faults")
async def clear_faults(request: Request) -> Response:
    lab_of(request).faults.remove(None)
    return Response(status_code=204)


@router.delete("/faults/{number}")
async def remove_fault(request: Request, number: int) -> Response:
    lab_of(request).faults.remove(number)
    return Response(status_code=204)


@router.get("/calls")
async def list_calls(request: Request) -> Response:
    """The last calls of the API and the metadata service, oldest first; never a header or a body."""
    faults = lab_of(request).faults
    return answer({"counted": faults.counted, "calls": list(faults.calls)})


@router.delete("/calls")
async def clear_calls(request: Request) -> Response:
    lab_of(request).faults.forget_calls()
    return Response(status_code=204)


# -- market and clock --------------------------------------------------------------------------------


def _sold(request: Request, plan_name: str, metro_name: str) -> tuple[str, str]:
    catalogue = lab_of(request).cloud.catalogue
    plan, metro = catalogue.find_plan(plan_name), catalogue.find_metro(metro_name)
    if plan is None or metro is None:
        raise Unprocessable(f"plan '{plan_name}' or metro '{metro_name}' is not in the catalogue")
    return plan, metro


@router.post("/prices")
async def set_price(request: Request, body: Price) -> Response:
    cloud = lab_of(request).cloud
    cloud.market.set_price(*_sold(request, body.plan, body.metro), body.price)
    cloud.tick()
    return answer(body.model_dump())


@router.post("/capacity")
async def set_capacity(request: Request, body: Capacity) -> Response:
    cloud = lab_of(request).cloud
    plan, metro = _sold(request, body.plan, body.metro)
    limits: dict[str, Any] = dict(cloud.store.facts.get("capacity", {}))
    cloud.store.set_fact("capacity", limits | {f"{plan}/{metro}": body.count})
    return answer(body.model_dump())


@router.post("/reservations")
async def add_reservation(request: Request, body: NewReservation) -> Response:
    plan, metro = _sold(request, body.plan, body.metro)
    return answer(to_json(lab_of(request).cloud.reservations.add(plan, metro, spare=body.spare)), 201)


@router.put("/reservations/{reservation_id}")
async def change_reservation(request: Request, reservation_id: str, body: ReservationState) -> Response:
    reservations = lab_of(request).cloud.reservations
    found = reservations.get(reservation_id)
    reservations.change(found, **body.model_dump(exclude_none=True))
    return answer(to_json(found))


@router.put("/limits")
async def set_limits(request: Request, body: LimitSettings) -> Response:
    """In place of those of the configuration, from the next call on."""
    lab_of(request).limits.set(body)
    return answer(body.model_dump())


@router.post("/clock")
async def advance_clock(request: Request, body: Advance) -> Response:
    cloud = lab_of(request).cloud
    cloud.advance(body.seconds)
    return answer({"now": cloud.clock.now()})


# -- machines ----------------------------------------------------------------------------------------


@router.get("/machines")
async def list_machines(request: Request) -> Response:
    cloud = lab_of(request).cloud
    devices = cloud.store.devices.values()
    return answer({"machines": [to_json(device) | {"machine": cloud.backend.describe(device)} for device in devices]})


@router.get("/machines/{device_id}")
async def get_machine(request: Request, device_id: str) -> Response:
    cloud = lab_of(request).cloud
    device = cloud.devices.get(device_id)
    return answer(to_json(device) | {"machine": cloud.backend.describe(device)})


@router.get("/machines/{device_id}/console")
async def get_console(request: Request, device_id: str) -> Response:
    cloud = lab_of(request).cloud
    return Response(cloud.backend.console(cloud.devices.get(device_id)), media_type="text/plain; charset=utf-8")


@router.post("/machines/{device_id}/events")
async def post_machine_event(request: Request, device_id: str, body: MachineEvent) -> Response:
    """As if the machine had posted it; for tests of malformed events."""
    cloud = lab_of(request).cloud
    cloud.machines.posted(cloud.devices.get(device_id).id, body.code, body.message)
    return answer({}, 201)


@router.post("/machines/{device_id}/dhcp")
async def connect_to_dhcp(request: Request, device_id: str) -> Response:
    """As if the machine had started to boot, and got no further."""
    cloud = lab_of(request).cloud
    cloud.machines.connected_to_dhcp(cloud.devices.get(device_id).id)
    return answer({}, 201)
