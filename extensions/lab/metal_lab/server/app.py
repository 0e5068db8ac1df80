# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application: routers, error answers, the clock's beat."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from metal_lab.core.cloud import Cloud
from metal_lab.core.errors import ApiError
from metal_lab.server import api_account, api_catalogue, api_devices, api_spot, control, metadata
from metal_lab.server.faults import Faults
from metal_lab.server.http import Lab, error_answer, require_token
from metal_lab.server.limits import Limits
from metal_lab.server.middleware import LabMiddleware
from metal_lab.server.render import Renderer

_log = logging.getLogger(__name__)
# The newer scripts say api.equinix.com/metal/v1, the older ones api.packet.net with no prefix.
PREFIXES = ("/metal/v1", "")


def make_app(cloud: Cloud, base_url: str, *, beat: bool = True) -> FastAPI:
    """Without ``beat`` time stands still but for /lab/clock and Cloud.tick."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await cloud.start()
        ticker = asyncio.create_task(_tick_forever(cloud)) if beat else None
        if ticker is not None:
            ticker.add_done_callback(_end_with)
        yield
        if ticker is not None:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
        await cloud.stop()

    app = FastAPI(title="nixmetal.builders lab", lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    faults, limits = Faults(), Limits(cloud.settings.limits, cloud.clock)
    app.state.lab = Lab(cloud, Renderer(cloud), faults, limits, base_url)
    app.include_router(control.router)
    app.include_router(metadata.router)
    for prefix in PREFIXES:
        for module in (api_devices, api_spot, api_catalogue, api_account):
            app.include_router(module.router, prefix=prefix, dependencies=[Depends(require_token)])
    app.add_middleware(LabMiddleware, cloud=cloud, faults=faults, limits=limits)
    _add_error_answers(app)
    return app


async def _tick_forever(cloud: Cloud) -> None:
    while True:
        cloud.tick()
        await asyncio.sleep(cloud.settings.timing.tick)


def _end_with(ticker: asyncio.Task[None]) -> None:
    """A cloud whose time stands still for a fault of the emulator must not look alive."""
    if not ticker.cancelled() and ticker.exception() is not None:
        _log.critical("the emulator's clock failed", exc_info=ticker.exception())
        signal.raise_signal(signal.SIGTERM)


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def refused(_request: Request, error: ApiError) -> Response:
        return error_answer(error)

    @app.exception_handler(HTTPException)
    async def no_such_path(_request: Request, error: HTTPException) -> Response:
        text = "Not found" if error.status_code == 404 else str(error.detail)
        return error_answer(ApiError(error.status_code, text))

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> Response:
        texts = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        return error_answer(ApiError(422, *texts))
