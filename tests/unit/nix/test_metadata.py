# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine takes from its metadata: the file as a whole, and its IPv6 addresses."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shells import LIBRARY, NAMES, shell

# Not busybox: its shell prefers its own `ip` to the one on PATH, and would set addresses on this machine. NixOS has bash.
SHELLS = ("sh", "bash")
V6 = {"address": "2604:1380:1:2::3", "cidr": 127, "gateway": "2604:1380:1:2::2", "address_family": 6, "public": True}
V4 = {"address": "192.0.2.3", "cidr": 31, "gateway": "192.0.2.2", "address_family": 4, "public": True}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the server has, after as many failures."""

    def do_GET(self) -> None:
        self.server.failures -= 1  # type: ignore[attr-defined]
        body = self.server.body  # type: ignore[attr-defined]
        self.send_response(503 if self.server.failures >= 0 else 200)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def service() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.failures = 0  # type: ignore[attr-defined]
    server.body = b'{"hostname": "a"}\n'  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(name: str, directory: Path, url: str, seconds: int = 20) -> subprocess.CompletedProcess[str]:
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    (directory / "cmdline").write_text(f"quiet nixmetal.metadata={url} panic=10\n")
    return subprocess.run(
        [*shell(name), str(LIBRARY / "fetch-metadata.sh"), str(directory / "metadata.json")],
        env={
            "PATH": os.environ["PATH"],
            "NIXMETAL_CMDLINE": str(directory / "cmdline"),
            "NIXMETAL_RETRY_SECONDS": str(seconds),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_metadata_are_fetched_as_soon_as_the_service_answers(name: str, tmp_path: Path, service: Any) -> None:
    service.failures = 1
    done = fetch(name, tmp_path, f"http://127.0.0.1:{service.server_address[1]}/metadata")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "metadata.json").read_text()) == {"hostname": "a"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [b"<html>log in</html>", b""])
def test_something_else_is_not_taken_for_metadata(name: str, tmp_path: Path, service: Any, body: bytes) -> None:
    service.body = body
    done = fetch(name, tmp_path, f"http://127.0.0.1:{service.server_address[1]}/metadata")
    assert done.returncode == 1
    assert "something else than metadata" in done.stderr
    assert not (tmp_path / "metadata.json").exists()


def test_a_service_that_stays_away_is_given_up(tmp_path: Path, service: Any) -> None:
    service.failures = 1000
    done = fetch("sh", tmp_path, f"http://127.0.0.1:{service.server_address[1]}/metadata", seconds=1)
    assert done.returncode == 1
    assert "no metadata from" in done.stderr


def set_addresses(
    name: str,
    directory: Path,
    addresses: list[dict[str, Any]],
    route: str = "default via 192.0.2.2 dev bond0 proto dhcp",
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    if not shutil.which("jq"):
        pytest.skip("no jq here")
    programs = directory / "programs"
    programs.mkdir()
    ip = programs / "ip"
    ip.write_text(f'#!/bin/sh\n[ "$1" != -4 ] || {{ echo "{route}"; exit; }}\necho "ip $*" >>{directory}/calls\n')
    ip.chmod(0o755)
    (directory / "metadata.json").write_text(json.dumps({"network": {"addresses": addresses}}))
    done = subprocess.run(
        [*shell(name), str(LIBRARY / "ipv6-addresses.sh"), str(directory / "metadata.json")],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
    )
    calls = directory / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize("name", SHELLS)
def test_the_addresses_are_set_on_the_interface_of_the_default_route(name: str, tmp_path: Path) -> None:
    done, calls = set_addresses(name, tmp_path, [V4, V6])
    assert done.returncode == 0, done.stderr
    assert calls == [
        "ip -6 address replace 2604:1380:1:2::3/127 dev bond0",
        "ip -6 route replace 2604:1380:1:2::2 dev bond0 proto static",
        "ip -6 route replace default via 2604:1380:1:2::2 dev bond0 proto static",
    ]


@pytest.mark.parametrize("name", SHELLS)
def test_without_ipv6_nothing_is_set(name: str, tmp_path: Path) -> None:
    done, calls = set_addresses(name, tmp_path, [V4])
    assert (done.returncode, calls) == (0, [])


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize(
    "change",
    [
        {"address": "::1; touch pwned"},
        {"address": "$(touch pwned)"},
        {"address": "::1\n::2"},
        {"gateway": None},
        {"gateway": "192.0.2.2"},
        {"cidr": "127 dev lo"},
        {"cidr": None},
    ],
)
def test_what_is_no_address_is_refused(name: str, tmp_path: Path, change: dict[str, Any]) -> None:
    done, calls = set_addresses(name, tmp_path, [V6 | change])
    assert done.returncode == 1
    assert "the metadata have" in done.stderr
    assert calls == []
    assert not (tmp_path / "pwned").exists()


def test_without_a_default_route_it_says_so(tmp_path: Path) -> None:
    done, calls = set_addresses("sh", tmp_path, [V6], route="")
    assert done.returncode == 1
    assert "there is no default route" in done.stderr
    assert calls == []
