# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stage 1 fetches segments: whole and right, or refused with the reason, and never for ever."""

from __future__ import annotations

import hashlib
import http.server
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shells import NAMES, run

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
SEGMENTS = {"10-base.squashfs": b"base" * 50_000, "90-settings.squashfs": b"settings" * 1000}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Web(http.server.ThreadingHTTPServer):
    """Files by path; a path may answer badly for a number of times."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.files: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        fault = self.server.faults.pop(0) if self.server.faults else ""
        content = self.server.files.get(self.path)
        if fault == "503" or content is None:
            self._answer(503 if fault else 404, b"", 0)
            return
        start = int(match[1]) if self.server.ranges and wanted and (match := re.match(r"bytes=(\d+)-", wanted)) else 0
        if start >= len(content):
            self._answer(416, b"", 0)
            return
        self._answer(206 if start else 200, content, start, fault)

    def _answer(self, status: int, content: bytes, start: int, fault: str = "") -> None:
        body = content[start:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault in ("cut", "stall") else body)
        self.wfile.flush()
        if fault == "stall":
            time.sleep(6)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        server.files = {f"/blobs/sha256/{digest(content)}": content for content in SEGMENTS.values()}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(
    web: Web, tmp_path: Path, shell: str = "sh", lines: str | None = None, words: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    listed = "".join(f"{name} {len(content)} {digest(content)}\n" for name, content in SEGMENTS.items())
    (tmp_path / "list").write_text(listed if lines is None else lines)
    (tmp_path / "cmdline").write_text(
        (words if words is not None else f"quiet nixmetal.blobs={web.url}/blobs/sha256") + "\n"
    )
    environment = {
        "NIXMETAL_CMDLINE": str(tmp_path / "cmdline"),
        "NIXMETAL_SEGMENTS": str(tmp_path / "list"),
        "NIXMETAL_SEGMENT_DIRECTORY": str(tmp_path / "segments"),
        "NIXMETAL_SEGMENT_TIMEOUT": "30",
        "NIXMETAL_STALL_TIMEOUT": "1",
        "no_proxy": "127.0.0.1",
    }
    return run(shell, "fetch-segments.sh", environment | more)


def fetched(tmp_path: Path) -> dict[str, bytes]:
    directory = tmp_path / "segments"
    return {path.name: path.read_bytes() for path in directory.iterdir()} if directory.exists() else {}


@pytest.mark.parametrize("shell", NAMES)
def test_a_release_is_fetched_by_digest(web: Web, tmp_path: Path, shell: str) -> None:
    done = fetch(web, tmp_path, shell)
    assert done.returncode == 0, done.stderr
    assert fetched(tmp_path) == SEGMENTS
    assert "10-base.squashfs: 200000 bytes, verified" in done.stdout
    web.asked.clear()
    assert fetch(web, tmp_path, shell).returncode == 0
    assert web.asked == []


def test_what_ipxe_has_loaded_is_verified_and_not_fetched(web: Web, tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    for name, content in SEGMENTS.items():
        (tmp_path / "segments" / name).write_bytes(content)
    assert fetch(web, tmp_path, words="quiet").returncode == 0
    name, content = next(iter(SEGMENTS.items()))
    (tmp_path / "segments" / name).write_bytes(content[:-1])
    done = fetch(web, tmp_path, words="quiet")
    assert done.returncode == 1
    assert f"{name} is here already, but has 199999 bytes instead of 200000" in done.stdout
    assert "it is not known where the segments are" in done.stderr


def test_a_copied_directory_is_fetched_by_name(web: Web, tmp_path: Path) -> None:
    web.files = {f"/images/one/{name}": content for name, content in SEGMENTS.items()}
    done = fetch(web, tmp_path, words=f"nixmetal.script={web.url}/images/one/netboot.ipxe")
    assert done.returncode == 0, done.stderr
    assert fetched(tmp_path) == SEGMENTS


@pytest.mark.parametrize("shell", NAMES)
def test_a_segment_with_other_content_is_refused(web: Web, tmp_path: Path, shell: str) -> None:
    name, content = next(iter(SEGMENTS.items()))
    path = f"/blobs/sha256/{digest(content)}"
    web.files[path] = tampered = content[:-1] + b"X"
    done = fetch(web, tmp_path, shell)
    assert done.returncode == 1
    said = f"{name} is refused: {web.url}{path} has SHA-256 {digest(tampered)} instead of {digest(content)}"
    assert said in done.stderr
    assert fetched(tmp_path) == {}
    assert len(web.asked) == 2


@pytest.mark.parametrize(("change", "seen"), [(-1, "199999 bytes instead of 200000"), (1, "more bytes than 200000")])
def test_a_segment_of_another_size_is_refused(web: Web, tmp_path: Path, change: int, seen: str) -> None:
    name, content = next(iter(SEGMENTS.items()))
    web.files[f"/blobs/sha256/{digest(content)}"] = content[:change] if change < 0 else content + b"X"
    done = fetch(web, tmp_path)
    assert done.returncode == 1
    assert f"{name} is refused: " in done.stderr
    assert seen in done.stderr
    assert fetched(tmp_path) == {}


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_broken_connection_goes_on_where_it_ended(web: Web, tmp_path: Path, fault: str) -> None:
    web.faults = [fault]
    done = fetch(web, tmp_path)
    assert done.returncode == 0, done.stderr
    assert fetched(tmp_path) == SEGMENTS
    assert [wanted for _path, wanted in web.asked][:2] == [None, "bytes=100000-"]
    assert "next try in 1 s" in done.stdout


def test_a_server_that_cannot_go_on_in_the_middle_begins_again(web: Web, tmp_path: Path) -> None:
    web.ranges = False
    web.faults = ["cut"]
    assert fetch(web, tmp_path).returncode == 0
    assert fetched(tmp_path) == SEGMENTS


def test_a_refusing_server_does_not_cost_what_is_here(web: Web, tmp_path: Path) -> None:
    web.faults = ["cut", "503"]
    assert fetch(web, tmp_path).returncode == 0
    assert [wanted for _path, wanted in web.asked][:3] == [None, "bytes=100000-", "bytes=100000-"]


def test_a_server_that_never_answers_well_ends_at_the_deadline(web: Web, tmp_path: Path) -> None:
    web.faults = ["503"] * 100
    begin = time.monotonic()
    done = fetch(web, tmp_path, NIXMETAL_SEGMENT_TIMEOUT="3")
    assert done.returncode == 1
    assert re.search(r"10-base.squashfs is not here after 3 seconds: .*503", done.stderr)
    assert time.monotonic() - begin < 10


def test_a_connection_that_gives_nothing_ends_at_the_deadline(web: Web, tmp_path: Path) -> None:
    web.faults = ["stall"] * 100
    begin = time.monotonic()
    done = fetch(web, tmp_path, NIXMETAL_SEGMENT_TIMEOUT="3", NIXMETAL_STALL_TIMEOUT="60")
    assert done.returncode == 1
    assert "is not here after 3 seconds" in done.stderr
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("quiet", "neither nixmetal.blobs= nor nixmetal.script="),
        ("nixmetal.blobs=file:///etc", "is no http or https URL"),
        ("nixmetal.blobs=$(touch${IFS}made)", "is no http or https URL"),
    ],
)
def test_an_address_that_is_none_is_told(web: Web, tmp_path: Path, words: str, said: str) -> None:
    done = fetch(web, tmp_path, words=words)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "names no segment"),
        (f"../../etc/passwd 5 {'0' * 64}\n", "line 1: '../../etc/passwd' is no segment's name"),
        (f"a 5 {'0' * 64}\nb five {'0' * 64}\n", "line 2: 'five' is no size"),
        (f"a 5 {'0' * 63}\n", "is no SHA-256"),
        (f"a 5 {'G' * 64}\n", "is no SHA-256"),
        (f"a 5 {'0' * 64} more\n", "more than a name"),
    ],
)
def test_a_list_that_is_none_is_told_before_anything_is_fetched(
    web: Web, tmp_path: Path, lines: str, said: str
) -> None:
    done = fetch(web, tmp_path, lines=lines)
    assert done.returncode == 1
    assert said in done.stderr
    assert web.asked == []
