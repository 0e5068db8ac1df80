# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m metal_lab --config FILE`` runs the emulator until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn

from metal_lab.backends import make_backend
from metal_lab.core.clock import SystemClock
from metal_lab.core.cloud import Cloud
from metal_lab.core.settings import Settings, SettingsError, load
from metal_lab.core.store import Store
from metal_lab.server.app import make_app
from metal_lab.server.protocol import ResettableProtocol


def _listen(settings: Settings) -> socket.socket:
    """Bind first, so that a port in use is told in words and before anything is started."""
    place = f"{settings.listen_address}:{settings.listen_port}"
    # asyncio turns Nagle's algorithm off (40 ms a call) only where the protocol number is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.listen_address, settings.listen_port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        setting = "listen_port" if error.errno == errno.EADDRINUSE else "listen_address"
        raise SettingsError(f"cannot listen on {place}: {error.strerror}; change the setting {setting}") from error
    return listener


def _write_whole(path: Path, text: str) -> None:
    """Readers see the old file or the whole new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _open_store(settings: Settings) -> Store:
    try:
        settings.state_directory.mkdir(parents=True, exist_ok=True)
        return Store(settings.state_directory / "state.sqlite3")
    except OSError as error:
        raise SettingsError(f"state_directory: {settings.state_directory}: {error.strerror}") from error


class _Server(uvicorn.Server):
    """Says when it is ready, on standard output and in the port file."""

    def __init__(self, config: uvicorn.Config, settings: Settings, port: int) -> None:
        super().__init__(config)
        self._settings = settings
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        if self._settings.port_file is not None:
            _write_whole(self._settings.port_file, f"{self._port}\n")
        print(f"metal_lab: ready on http://{self._settings.listen_address}:{self._port}", flush=True)


def run(settings: Settings) -> int:
    listener = _listen(settings)
    port = listener.getsockname()[1]
    base_url = settings.base_url or f"http://{settings.listen_address}:{port}"
    store, clock = _open_store(settings), SystemClock()
    cloud = Cloud(settings, clock, store, make_backend(settings, clock, store, base_url))
    config = uvicorn.Config(
        make_app(cloud, base_url.rstrip("/")),
        http=ResettableProtocol,
        loop="asyncio",
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, settings, port)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m metal_lab", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON or YAML file; see extensions/lab/README.md")
    parser.add_argument("--check", action="store_true", help="only read the configuration")
    arguments = parser.parse_args()
    logging.basicConfig(level=os.environ.get("METAL_LAB_LOG", "INFO"), format="%(asctime)s %(name)s: %(message)s")
    try:
        settings = load(arguments.config)
        return 0 if arguments.check else run(settings)
    except SettingsError as error:
        print(f"metal_lab: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
