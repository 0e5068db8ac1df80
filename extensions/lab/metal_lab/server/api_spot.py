# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spot market requests and prices."""

from __future__ import annotations

import contextlib
import math
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from metal_lab.core.clock import from_text
from metal_lab.core.cloud import Cloud
from metal_lab.core.errors import Unprocessable
from metal_lab.core.records import SpotRequest
from metal_lab.server.http import answer, is_forced, json_body, lab_of, require_project
from metal_lab.server.shaping import shape

router = APIRouter()
Project = Annotated[str, Depends(require_project)]


@router.get("/projects/{project_id}/spot-market-requests")
async def list_requests(request: Request, project: Project) -> Response:
    """Not paged."""
    found = lab_of(request).cloud.spot.of_project(project)
    return answer({"spot_market_requests": [_shaped(request, item, "spot_market_request") for item in found]})


@router.post("/projects/{project_id}/spot-market-requests")
async def create_request(request: Request, project: Project) -> Response:
    made = lab_of(request).cloud.spot.order(project, await json_body(request))
    return answer(_shaped(request, made), 201)


@router.get("/spot-market-requests/{request_id}")
async def get_request(request: Request, request_id: str) -> Response:
    return answer(_shaped(request, lab_of(request).cloud.spot.get(request_id)))


@router.delete("/spot-market-requests/{request_id}")
async def delete_request(request: Request, request_id: str) -> Response:
    """`force_termination` in the query (the specification) or in the body (packngo)."""
    spot = lab_of(request).cloud.spot
    found = spot.get(request_id)
    spot.delete(found, force_termination=await is_forced(request, "force_termination"))
    return Response(status_code=204)


def _shaped(request: Request, item: SpotRequest, singular: str = "") -> dict[str, Any]:
    render = lab_of(request).render
    return shape(render.spot_request(item), request.query_params, render.resolve, singular)


# -- prices ------------------------------------------------------------------------------------------


def _wanted_plan(cloud: Cloud, name: str | None) -> str | None:
    if not name:
        return None
    plan = cloud.catalogue.find_plan(name)
    if plan is None:
        raise Unprocessable(f"plan '{name}' is not a valid plan")
    return plan


def _prices(cloud: Cloud, plan: str | None, metro: str | None) -> dict[str, dict[str, dict[str, float]]]:
    """By metro code, the plans that it sells on the spot market."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for code in [metro] if metro else cloud.catalogue.metros:
        for slug in [plan] if plan else cloud.catalogue.plans:
            if cloud.market.has_spot(slug, code):
                found.setdefault(code, {})[slug] = {"price": cloud.market.price(slug, code)}
    return found


@router.get("/market/spot/prices/metros")
async def prices_by_metro(request: Request) -> Response:
    cloud = lab_of(request).cloud
    name = request.query_params.get("metro")
    metro = cloud.catalogue.find_metro(name) if name else None
    if name and metro is None:
        raise Unprocessable(f"metro '{name}' could not be found")
    plan = _wanted_plan(cloud, request.query_params.get("plan"))
    return answer({"spot_market_prices": _prices(cloud, plan, metro)})


@router.get("/market/spot/prices")
async def prices_by_facility(request: Request) -> Response:
    cloud = lab_of(request).cloud
    name = request.query_params.get("facility")
    metro = cloud.catalogue.find_metro_of_facility(name) if name else None
    if name and metro is None:
        raise Unprocessable(f"facility '{name}' could not be found")
    plan = _wanted_plan(cloud, request.query_params.get("plan"))
    by_metro = _prices(cloud, plan, metro)
    return answer(
        {"spot_market_prices": {cloud.catalogue.metro_settings[code].facility: by_metro[code] for code in by_metro}}
    )


@router.get("/market/spot/prices/history")
async def price_history(request: Request) -> Response:
    cloud, query = lab_of(request).cloud, request.query_params
    missing = [name for name in ("plan", "from", "until") if not query.get(name)]
    if not query.get("facility") and not query.get("metro"):
        missing.append("facility")
    if missing:
        raise Unprocessable(*(f"{name} can't be blank" for name in missing))
    plan = _wanted_plan(cloud, query["plan"])
    catalogue = cloud.catalogue
    metro = catalogue.find_metro(query.get("metro")) or catalogue.find_metro_of_facility(query.get("facility"))
    if plan is None or metro is None or not cloud.market.has_spot(plan, metro):
        raise Unprocessable("No spot market for this plan and place")
    points = cloud.market.history(plan, metro, _moment(query["from"], "from"), _moment(query["until"], "until"))
    return answer({"prices_history": {"datapoints": points}})


def _moment(text: str, name: str) -> float:
    """Seconds since the epoch, or an ISO 8601 date."""
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds):
            return seconds
    try:
        return from_text(text)
    except (ValueError, OverflowError) as error:
        raise Unprocessable(f"{name} is not a valid date") from error
