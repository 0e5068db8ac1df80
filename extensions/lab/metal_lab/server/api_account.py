# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Project, organization, user, SSH keys and hardware reservations."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from metal_lab.core.checks import Fields
from metal_lab.core.cloud import Cloud
from metal_lab.core.errors import NotFound
from metal_lab.core.records import Reservation, SshKey
from metal_lab.server.http import answer, json_body, lab_of, require_project
from metal_lab.server.shaping import page_of, shape

router = APIRouter()
Project = Annotated[str, Depends(require_project)]


def _shaped(request: Request, item: dict[str, Any]) -> Response:
    return answer(shape(item, request.query_params, lab_of(request).render.resolve))


@router.get("/projects")
async def list_projects(request: Request) -> Response:
    page, meta = page_of([lab_of(request).render.project()], request.query_params, "/projects")
    return answer({"projects": list(page), "meta": meta})


@router.get("/projects/{project_id}", dependencies=[Depends(require_project)])
async def get_project(request: Request) -> Response:
    return _shaped(request, lab_of(request).render.project())


@router.get("/organizations/{organization_id}")
async def get_organization(request: Request, organization_id: str) -> Response:
    organization = lab_of(request).render.organization()
    if organization["id"] != organization_id.lower():
        raise NotFound
    return _shaped(request, organization)


@router.get("/user")
async def get_user(request: Request) -> Response:
    return _shaped(request, lab_of(request).render.user())


@router.get("/projects/{project_id}/hardware-reservations")
async def list_reservations(request: Request, project: Project) -> Response:
    lab, query = lab_of(request), request.query_params
    found = [item for item in lab.cloud.reservations.of_project(project) if _is_wanted(lab.cloud, item, query)]
    page, meta = page_of(found, query, f"/projects/{project}/hardware-reservations")
    shaped = [shape(lab.render.reservation(item), query, lab.render.resolve, "hardware_reservation") for item in page]
    return answer({"hardware_reservations": shaped, "meta": meta})


@router.get("/hardware-reservations/{reservation_id}")
async def get_reservation(request: Request, reservation_id: str) -> Response:
    lab = lab_of(request)
    return _shaped(request, lab.render.reservation(lab.cloud.reservations.get(reservation_id)))


def _is_wanted(cloud: Cloud, item: Reservation, query: QueryParams) -> bool:
    device = cloud.reservations.device_on(item)
    words = " ".join((item.id[:8], item.plan, item.metro, device.hostname if device else ""))
    states = {
        "active": device is not None,
        "spare": item.spare,
        "need_of_service": item.need_of_service,
    }
    return (
        (query.get("query") or "") in words
        and states.get(query.get("state") or "", True)
        and (query.get("provisionable") != "only" or cloud.reservations.provisionable(item))
    )


# -- SSH keys ----------------------------------------------------------------------------------------


def _add_key(cloud: Cloud, body: Any, project: str | None) -> SshKey:
    fields = Fields(body)
    label, text = fields.text("label", required=True), fields.text("key", required=True)
    fields.finish()
    key = SshKey(str(uuid.uuid4()), label or "", text or "", cloud.clock.now(), project)
    cloud.store.add(key)
    return key


def _key(request: Request, key_id: str) -> SshKey:
    key = lab_of(request).cloud.store.ssh_keys.get(key_id.lower())
    if key is None:
        raise NotFound
    return key


def _keys(request: Request, project: str | None) -> Response:
    lab = lab_of(request)
    keys = [lab.render.ssh_key(key) for key in lab.cloud.store.ssh_keys.values() if key.project_id == project]
    return answer({"ssh_keys": keys})


@router.get("/ssh-keys")
async def list_user_keys(request: Request) -> Response:
    return _keys(request, None)


@router.post("/ssh-keys")
async def add_user_key(request: Request) -> Response:
    lab = lab_of(request)
    return answer(lab.render.ssh_key(_add_key(lab.cloud, await json_body(request), None)), 201)


@router.get("/projects/{project_id}/ssh-keys")
async def list_project_keys(request: Request, project: Project) -> Response:
    return _keys(request, project)


@router.post("/projects/{project_id}/ssh-keys")
async def add_project_key(request: Request, project: Project) -> Response:
    lab = lab_of(request)
    return answer(lab.render.ssh_key(_add_key(lab.cloud, await json_body(request), project)), 201)


@router.get("/ssh-keys/{key_id}")
async def get_key(request: Request, key_id: str) -> Response:
    return answer(lab_of(request).render.ssh_key(_key(request, key_id)))


@router.put("/ssh-keys/{key_id}")
async def update_key(request: Request, key_id: str) -> Response:
    lab, key = lab_of(request), _key(request, key_id)
    fields = Fields(await json_body(request))
    label, text = fields.text("label"), fields.text("key")
    fields.finish()
    key.label, key.key = label or key.label, text or key.key
    lab.cloud.store.touch(key)
    return answer(lab.render.ssh_key(key))


@router.delete("/ssh-keys/{key_id}")
async def delete_key(request: Request, key_id: str) -> Response:
    lab_of(request).cloud.store.forget(_key(request, key_id))
    return Response(status_code=204)
