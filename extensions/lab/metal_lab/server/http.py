# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every endpoint needs: the cloud, the token check, answers and errors in the API's form."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from metal_lab.core.cloud import Cloud
from metal_lab.core.errors import ApiError, NotFound, Unprocessable
from metal_lab.server.faults import Faults
from metal_lab.server.limits import Limits
from metal_lab.server.render import Renderer


@dataclass(frozen=True)
class Lab:
    """What the application carries along."""

    cloud: Cloud
    render: Renderer
    faults: Faults
    limits: Limits
    base_url: str


def lab_of(request: Request) -> Lab:
    lab: Lab = request.app.state.lab
    return lab


def answer(payload: Any, status: int = 200) -> Response:
    """Straight to JSON: lists of thousands of devices need no validation of our own output."""
    return Response(json.dumps(payload, separators=(",", ":")), status, media_type="application/json")


def error_answer(error: ApiError) -> Response:
    if error.status == 401:
        return answer({"error": error.texts[0]}, 401)
    return answer({"errors": error.texts}, error.status)


async def require_token(request: Request) -> None:
    """X-Auth-Token, on every call of the API."""
    given = request.headers.get("x-auth-token", "")
    if not hmac.compare_digest(given.encode(), lab_of(request).cloud.settings.token.encode()):
        raise ApiError(401, "Invalid authentication token")


async def require_project(request: Request) -> str:
    """The project of the path; another one does not exist."""
    known = lab_of(request).cloud.settings.project_id
    if request.path_params["project_id"].lower() != known.lower():
        raise NotFound
    return known


async def json_body(request: Request) -> Any:
    """The body as JSON, whatever the content type says. Nothing at all is an empty object."""
    raw = await request.body()
    if not raw.strip():
        return {}
    try:
        return json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unprocessable("Request body is not valid JSON") from error


def _refuse(name: str) -> Any:
    """Python reads NaN and Infinity; JSON has neither."""
    raise ValueError(name)


async def is_forced(request: Request, name: str) -> bool:
    """A flag of a DELETE, in its query or in its body."""
    body = await json_body(request)
    in_body = body.get(name) if isinstance(body, dict) else None
    return is_true(request.query_params.get(name)) or is_true(in_body)


def is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes")
