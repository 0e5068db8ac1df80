# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, metros, facilities, operating systems and capacity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from metal_lab.core.errors import Unprocessable
from metal_lab.core.settings import MetroSettings
from metal_lab.core.world import World
from metal_lab.server.http import answer, json_body, lab_of, require_project
from metal_lab.server.shaping import shape

router = APIRouter()
# The capacity call's own words for "how many are left".
_LEVELS = ((0, "unavailable"), (5, "critical"), (20, "limited"))


def _listing(request: Request, key: str, items: list[dict[str, Any]]) -> Response:
    resolve = lab_of(request).render.resolve
    return answer({key: [shape(item, request.query_params, resolve, key.removesuffix("s")) for item in items]})


@router.get("/plans")
async def list_plans(request: Request) -> Response:
    query = request.query_params
    wanted = set(query.getlist("categories[]")) | set(query.getlist("categories"))
    plans = [
        plan
        for plan in lab_of(request).cloud.catalogue.plans.values()
        if query.get("slug") in (None, plan["slug"])
        and query.get("type") in (None, plan["type"])
        and (not wanted or wanted & set(plan["categories"]))
    ]
    return _listing(request, "plans", plans)


@router.get("/projects/{project_id}/plans", dependencies=[Depends(require_project)])
async def list_project_plans(request: Request) -> Response:
    return await list_plans(request)


@router.get("/locations/metros")
async def list_metros(request: Request) -> Response:
    return _listing(request, "metros", list(lab_of(request).cloud.catalogue.metros.values()))


@router.get("/facilities")
async def list_facilities(request: Request) -> Response:
    """Gone from the newest specification; older clients read it."""
    return _listing(request, "facilities", list(lab_of(request).cloud.catalogue.facilities.values()))


@router.get("/projects/{project_id}/facilities", dependencies=[Depends(require_project)])
async def list_project_facilities(request: Request) -> Response:
    return await list_facilities(request)


@router.get("/operating-systems")
async def list_operating_systems(request: Request) -> Response:
    return _listing(request, "operating_systems", list(lab_of(request).cloud.catalogue.operating_systems.values()))


# -- capacity ----------------------------------------------------------------------------------------


def _level(free: int) -> str:
    return next((level for most, level in _LEVELS if free <= most), "normal")


def _capacity(request: Request, place: Callable[[MetroSettings], str]) -> Response:
    world = lab_of(request).cloud.world
    capacity: dict[str, dict[str, Any]] = {}
    for plan in world.settings.plans:
        for metro in world.catalogue.sold_in(plan):
            free = world.free_capacity(plan.slug, metro.code)
            capacity.setdefault(place(metro), {})[plan.slug] = {"level": _level(free), "available_servers": free}
    return answer({"capacity": capacity})


@router.get("/capacity")
async def capacity_by_facility(request: Request) -> Response:
    return _capacity(request, lambda metro: metro.facility)


@router.get("/capacity/metros")
async def capacity_by_metro(request: Request) -> Response:
    return _capacity(request, lambda metro: metro.code)


async def _check(request: Request, place: str, find: Callable[[object], str | None]) -> Response:
    """`quantity` comes back as it was sent: the specification says string, production said number."""
    body = await json_body(request)
    servers = body.get("servers") if isinstance(body, dict) else None
    if not isinstance(servers, list):
        raise Unprocessable("servers must be a list")
    return answer({"servers": [_checked(lab_of(request).cloud.world, server, place, find) for server in servers]})


@router.post("/capacity")
async def check_capacity_by_facility(request: Request) -> Response:
    return await _check(request, "facility", lab_of(request).cloud.catalogue.find_metro_of_facility)


@router.post("/capacity/metros")
async def check_capacity_by_metro(request: Request) -> Response:
    return await _check(request, "metro", lab_of(request).cloud.catalogue.find_metro)


def _checked(world: World, server: Any, place: str, find: Callable[[object], str | None]) -> dict[str, Any]:
    asked = server if isinstance(server, dict) else {}
    plan, metro = world.catalogue.find_plan(asked.get("plan")), find(asked.get(place))
    if plan is None or metro is None:
        raise Unprocessable(f"plan or {place} could not be found")
    try:
        quantity = int(asked.get("quantity", 1))
    except (TypeError, ValueError) as error:
        raise Unprocessable("quantity is not a number") from error
    sold = metro in {sold.code for sold in world.catalogue.sold_in(world.catalogue.plan_settings[plan])}
    available = sold and world.free_capacity(plan, metro) >= quantity
    return {place: asked[place], "plan": plan, "quantity": asked.get("quantity", 1), "available": available}
