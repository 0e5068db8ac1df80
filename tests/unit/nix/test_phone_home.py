# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine says when it phones home, with every shell that an image has."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "nix/lib/phone-home.sh"
SHELLS = [["sh"], ["bash"], ["busybox", "sh"]]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAFnUsX/cNrRnoA76wZnJ1yLvMNv3NFDK+k3WBLWqTdn"
BOOT_ID = "34f96eb7-aaf8-46d4-93b0-7a113c424f29"


class Service(http.server.ThreadingHTTPServer):
    """A metadata service that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.metadata: str = json.dumps({"id": "x", "phone_home_url": f"{self.url}/phone-home"})
        self.told: list[tuple[str, Any]] = []
        self.failures = 0


class Handler(http.server.BaseHTTPRequestHandler):
    """GET gives the metadata, POST is remembered."""

    server: Service

    def do_GET(self) -> None:
        self._answer(200, self.server.metadata.encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.failures:
            self.server.failures -= 1
            self._answer(503, b"")
            return
        self.server.told.append((self.path, json.loads(body) if body else None))
        self._answer(200, b"")

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def phone_home(
    service: Service, tmp_path: Path, shell: list[str] | None = None, key: str = f"{KEY} root@builder\n", **more: str
) -> subprocess.CompletedProcess[str]:
    shell = shell or ["sh"]
    if not shutil.which(shell[0]) or not shutil.which("curl"):
        pytest.skip(f"no {shell[0]} or no curl here")
    (tmp_path / "key.pub").write_text(key)
    (tmp_path / "boot_id").write_text(f"{BOOT_ID}\n")
    words = ["quiet", f"nixmetal.metadata={service.url}/metadata", "nixmetal.image=abc-lab-image"]
    (tmp_path / "cmdline").write_text(" ".join(words) + "\n")
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "NIXMETAL_CMDLINE": str(tmp_path / "cmdline"),
        "NIXMETAL_HOST_KEY": str(tmp_path / "key.pub"),
        "NIXMETAL_BOOT_ID": str(tmp_path / "boot_id"),
        "NIXMETAL_SYSTEMS": "x86_64-linux i686-linux",
        "NIXMETAL_MAX_JOBS": "4",
        "NIXMETAL_RETRY_SECONDS": "20",
        **more,
    }
    return subprocess.run(
        [*shell, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_the_key_then_what_it_builds_then_ready(service: Service, tmp_path: Path, shell: list[str]) -> None:
    done = phone_home(service, tmp_path, shell, NIXMETAL_FEATURES='kvm od"d')
    assert done.returncode == 0, done.stderr
    assert [path for path, _body in service.told] == ["/events", "/events", "/phone-home"]
    first, second = (event for _path, event in service.told[:2])
    assert (first["state"], first["code"], second["code"]) == ("succeeded", 1001, 1002)
    systems = ["x86_64-linux", "i686-linux"]
    assert json.loads(first["message"]) == [{"system": system, "port": 22, "key": KEY} for system in systems]
    assert json.loads(second["message"]) == {
        "system_types": systems,
        "features": ["kvm", 'od"d'],
        "mandatory_features": [],
        "max_jobs": 4,
        "speed_factor": 1,
        "image_id": "abc-lab-image",
        "boot_id": BOOT_ID,
    }


@pytest.mark.parametrize("key", ["", "\n", "ssh-ed25519\n", "not a key\n"])
def test_without_a_key_nothing_is_said(service: Service, tmp_path: Path, key: str) -> None:
    done = phone_home(service, tmp_path, key=key)
    assert done.returncode != 0
    assert "holds no public key" in done.stderr
    assert service.told == []


@pytest.mark.parametrize(
    "metadata", ["", "{}", '{"phone_home_url": "$(touch /pwned)"}', '{"phone_home_url": "file:///etc/passwd"}']
)
def test_metadata_without_an_address_is_refused(service: Service, tmp_path: Path, metadata: str) -> None:
    service.metadata = metadata
    done = phone_home(service, tmp_path)
    assert done.returncode != 0
    assert "names no phone_home_url" in done.stderr
    assert service.told == []


def test_escaped_slashes_in_the_address_are_read(service: Service, tmp_path: Path) -> None:
    service.metadata = service.metadata.replace("/", "\\/")
    assert phone_home(service, tmp_path).returncode == 0
    assert len(service.told) == 3


def test_a_service_that_fails_is_asked_again(service: Service, tmp_path: Path) -> None:
    service.failures = 1
    assert phone_home(service, tmp_path).returncode == 0
    assert [path for path, _body in service.told] == ["/events", "/events", "/phone-home"]
