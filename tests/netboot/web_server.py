# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real nginx for a web root: Debian's, unpacked into the cache and never installed, with the site file of role netboot_server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jinja2
import yaml
from commands import CACHE, CHECKOUT

ROLE = CHECKOUT / "roles" / "netboot_server"
DIRECTORIES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def unpacked_nginx() -> Path:
    """The program. Its package is fetched once."""
    program = CACHE / "nginx"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            fetch = "apt-get -qq download nginx && dpkg-deb -x ./nginx_*.deb unpacked"
            subprocess.run(["sh", "-c", fetch], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            (Path(folder) / "unpacked/usr/sbin/nginx").rename(program)
    return program


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports


class WebServer:
    """nginx on two free ports of the loopback device, the second for HTTPS if there is a certificate. It ends with the block."""

    def __init__(self, directory: Path, root: Path, acme: Path | None = None, workers: int = 2) -> None:
        self.directory, self.root = directory, root
        self.port, self.tls_port = free_ports(2)
        directory.mkdir(parents=True, exist_ok=True)
        site = self._site(acme)
        (directory / "nginx.conf").write_text(self._main(site, workers))
        self._process: subprocess.Popen[bytes] | None = None

    def _site(self, acme: Path | None) -> str:
        """As the role would write it."""
        settings: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
        settings |= {
            "ansible_managed": "of a test",
            "netboot_server_root": str(self.root),
            "netboot_server_listen": [f"127.0.0.1:{self.port}"],
            "netboot_server_names": ["127.0.0.1", "10.0.2.2"],
            "netboot_server_access_log": str(self.directory / "access.log"),
        }
        if acme:
            files = {"certificate": f"{acme}/fullchain.pem", "key": f"{acme}/privkey.pem"}
            settings |= {
                "netboot_server_tls_listen": [f"127.0.0.1:{self.tls_port}"],
                "netboot_server__certificate": files,
            }
        environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)  # noqa: S701 - no HTML
        return environment.from_string((ROLE / "templates/site.conf.j2").read_text()).render(settings)

    def _main(self, site: str, workers: int) -> str:
        here = self.directory
        paths = "".join(f"{name}_temp_path {here}/{name};\n" for name in DIRECTORIES)
        user = "user root;\n" if os.geteuid() == 0 else ""
        return (
            f"{user}daemon off;\nworker_processes {workers};\npid {here}/pid;\nerror_log {here}/error.log;\n"
            f"events {{ worker_connections 512; }}\nhttp {{\n{paths}{site}\n}}\n"
        )

    def __enter__(self) -> Self:
        command = [str(unpacked_nginx()), "-p", str(self.directory), "-c", "nginx.conf"]
        self._process = subprocess.Popen([*command, "-e", str(self.directory / "error.log")])
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, (self.directory / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx does not answer"
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    @property
    def requests(self) -> str:
        """The access log."""
        return (self.directory / "access.log").read_text()
