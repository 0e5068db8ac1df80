# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices and their events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from metal_lab.core.catalogue import Catalogue
from metal_lab.core.records import Device, Event
from metal_lab.server.http import Lab, answer, is_forced, is_true, json_body, lab_of, require_project
from metal_lab.server.shaping import page_of, shape

router = APIRouter()
Project = Annotated[str, Depends(require_project)]


def _filters(query: QueryParams, catalogue: Catalogue) -> list[Callable[[Device], bool]]:
    """One predicate for each filter that the query names."""
    known: dict[str, Callable[[Device, str], bool]] = {
        "search": lambda device, text: text in " ".join((device.hostname, device.id, device.address, *device.tags)),
        "hostname": lambda device, text: text in device.hostname,
        "tag": lambda device, text: text in device.tags,
        "metro": lambda device, text: device.metro == catalogue.find_metro(text),
        "facility": lambda device, text: device.metro == catalogue.find_metro_of_facility(text),
        "type": lambda device, text: text == _kind(device),
        "reserved": lambda device, text: is_true(text) == device.reserved,
        "has_termination_time": lambda device, text: is_true(text) == (device.termination_time is not None),
        "mac_address": lambda device, text: device.mac == text.lower(),
    }

    def bind(test: Callable[[Device, str], bool], text: str) -> Callable[[Device], bool]:
        return lambda device: test(device, text)

    return [bind(test, query[name]) for name, test in known.items() if query.get(name)]


def _kind(device: Device) -> str:
    return "spot" if device.spot_instance else "reserved" if device.reserved else "ondemand"


@router.get("/projects/{project_id}/devices")
async def list_devices(request: Request, project: Project) -> Response:
    lab = lab_of(request)
    tests = _filters(request.query_params, lab.cloud.catalogue)
    found = [device for device in lab.cloud.devices.of_project(project) if all(test(device) for test in tests)]
    page, meta = page_of(found, request.query_params, f"/projects/{project}/devices")
    devices = [_shaped(lab, request, device, "device") for device in page]
    return answer({"devices": devices, "meta": meta})


@router.post("/projects/{project_id}/devices")
async def create_device(request: Request, project: Project) -> Response:
    lab = lab_of(request)
    device = lab.cloud.devices.order(project, await json_body(request))
    return answer(_shaped(lab, request, device), 201)


@router.get("/devices/{device_id}")
async def get_device(request: Request, device_id: str) -> Response:
    lab = lab_of(request)
    return answer(_shaped(lab, request, lab.cloud.devices.get(device_id)))


@router.put("/devices/{device_id}")
@router.patch("/devices/{device_id}")
async def update_device(request: Request, device_id: str) -> Response:
    lab = lab_of(request)
    device = lab.cloud.devices.get(device_id)
    lab.cloud.devices.update(device, await json_body(request))
    return answer(_shaped(lab, request, device))


@router.delete("/devices/{device_id}")
async def delete_device(request: Request, device_id: str) -> Response:
    """`force_delete` in the query (the specification) or in the body (packngo)."""
    cloud = lab_of(request).cloud
    device = cloud.devices.get(device_id)
    cloud.devices.delete(device, force=await is_forced(request, "force_delete"))
    return Response(status_code=204)


@router.post("/devices/{device_id}/actions")
async def act_on_device(request: Request, device_id: str) -> Response:
    cloud = lab_of(request).cloud
    cloud.devices.act(cloud.devices.get(device_id), await json_body(request))
    return Response(status_code=202)


@router.get("/devices/{device_id}/events")
async def list_device_events(request: Request, device_id: str) -> Response:
    cloud = lab_of(request).cloud
    device = cloud.devices.get(device_id)
    return _events(request, cloud.events.of_device(device.id), f"/devices/{device.id}/events")


@router.get("/projects/{project_id}/events")
async def list_project_events(request: Request, project: Project) -> Response:
    return _events(request, lab_of(request).cloud.events.of_project(project), f"/projects/{project}/events")


def _events(request: Request, events: list[Event], path: str) -> Response:
    lab = lab_of(request)
    page, meta = page_of(events, request.query_params, path)
    shaped = [shape(lab.render.event(event), request.query_params, lab.render.resolve, "event") for event in page]
    return answer({"events": shaped, "meta": meta})


def _shaped(lab: Lab, request: Request, device: Device, singular: str = "") -> dict[str, Any]:
    return shape(lab.render.device(device), request.query_params, lab.render.resolve, singular)
