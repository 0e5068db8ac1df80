# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata service: a machine is told by its source address, and sends no token."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from metal_lab.core.clock import to_text
from metal_lab.core.errors import ApiError
from metal_lab.core.records import Device
from metal_lab.server.control import may_control
from metal_lab.server.http import Lab, answer, json_body, lab_of
from metal_lab.server.network import addresses, ports

router = APIRouter()
_NAMED_BY = "x-lab-device"


def _sender(request: Request) -> Device:
    """Who asks: by source address, or for tests by a header from whoever may use the control endpoints."""
    cloud = lab_of(request).cloud
    named = request.headers.get(_NAMED_BY) or request.query_params.get("lab_device")
    if named and may_control(request):
        return cloud.devices.get(named)
    address = request.client.host if request.client else "unknown"
    device = cloud.devices.at_address(address)
    if device is None:
        raise ApiError(404, f"No device has the address {address}")
    return device


def document(lab: Lab, device: Device) -> dict[str, Any]:
    """The metadata document, in the form of production's."""
    catalogue = lab.cloud.catalogue
    system = catalogue.operating_systems[device.operating_system]
    base = lab.base_url
    spot = {"termination_time": to_text(device.termination_time)} if device.termination_time else {}
    return {
        "id": device.id,
        "hostname": device.hostname,
        "iqn": f"iqn.2026-01.lab:device.{device.short_id}",
        "operating_system": {
            "slug": system["slug"],
            "distro": system["distro"],
            "version": system["version"],
            "license_activation": {"state": "unlicensed"},
            "image_tag": None,
        },
        "plan": device.plan,
        "class": catalogue.plans[device.plan]["class"],
        "reserved": device.hardware_reservation_id is not None,
        "facility": catalogue.metro_settings[device.metro].facility,
        "metro": device.metro,
        "state": device.state,
        "tags": device.tags,
        "ssh_keys": device.ssh_keys,
        "customdata": device.customdata,
        "specs": catalogue.plans[device.plan]["specs"],
        "storage": {},
        "volumes": [],
        "private_subnets": ["10.0.0.0/8"],
        "switch_short_id": "lab",
        "spot": spot,
        "network": {
            "bonding": {"mode": 5},
            "interfaces": [
                {"name": port["name"], "mac": port["data"]["mac"], "bond": "bond0"}
                for port in ports(device)
                if port["type"] == "NetworkPort"
            ],
            "addresses": addresses(lab.cloud.settings, device),
        },
        "api_url": base,
        "phone_home_url": f"{base}/phone-home",
        "user_state_url": f"{base}/events",
    }


@router.get("/metadata")
async def get_metadata(request: Request) -> Response:
    return answer(document(lab_of(request), _sender(request)))


@router.get("/userdata")
async def get_userdata(request: Request) -> Response:
    return Response((_sender(request).userdata or "").encode(errors="replace"), media_type="text/plain")


@router.post("/phone-home")
async def phone_home(request: Request) -> Response:
    device = _sender(request)
    lab_of(request).cloud.machines.phoned_home(device.id)
    return answer({})


@router.post("/events")
async def post_event(request: Request) -> Response:
    """The builders post JSON under curl's default content type; the message is kept as a string."""
    device = _sender(request)
    body = await json_body(request)
    code = body.get("code") if isinstance(body, dict) else None
    if isinstance(code, bool) or not isinstance(code, int | str) or code == "":
        raise ApiError(422, "code can't be blank")
    message = body.get("message", "")
    text = message if isinstance(message, str) else json.dumps(message)
    lab_of(request).cloud.machines.posted(device.id, str(code), text)
    return answer({}, 201)
