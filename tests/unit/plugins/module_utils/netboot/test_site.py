# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site of role netboot_server in a real nginx: parts of blobs, what is cached, and what is not served."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import issue, write_pair
from web_server import WebServer, unpacked_nginx

from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.publish import staged_manifest
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.releases import Settings
from ansible_collections.nixmetal.builders.plugins.module_utils.netboot.switch import publish

CHECKOUT = Path(__file__).resolve().parents[5]
KERNEL = bytes(range(256)) * 4000

pytestmark = pytest.mark.skipif(
    not shutil.which("apt-get"), reason="*** THE SITE IS NOT TRIED: there is no apt-get to fetch nginx by ***"
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    from .conftest import Store

    directory = tmp_path_factory.mktemp("site")
    # nginx's workers are other users, unless the tests run as root; pytest's directories are private.
    store = Store(directory / "web")
    store.image("one", kernel=KERNEL, initrd_00=b"a root")
    publish(
        str(store.root), staged_manifest(str(store.root), "one"), Settings("lab", "http://w", "relative", ()), False, 5
    )
    write_pair(directory / "acme", [issue("web", names=("127.0.0.1",))])
    with WebServer(directory / "nginx", store.root, directory / "acme") as server:
        yield server


def ask(web: WebServer, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer, answer.read()


def blob_path() -> str:
    return f"/blobs/sha256/{hashlib.sha256(KERNEL).hexdigest()}"


@pytest.mark.parametrize(
    ("asked", "told", "content"),
    [
        ("bytes=0-9", f"bytes 0-9/{len(KERNEL)}", KERNEL[:10]),
        ("bytes=1000-", f"bytes 1000-{len(KERNEL) - 1}/{len(KERNEL)}", KERNEL[1000:]),
        ("bytes=-7", f"bytes {len(KERNEL) - 7}-{len(KERNEL) - 1}/{len(KERNEL)}", KERNEL[-7:]),
    ],
)
def test_a_fetch_goes_on_where_it_was_cut_off(web: WebServer, asked: str, told: str, content: bytes) -> None:
    answer, text = ask(web, blob_path(), range=asked)
    assert (answer.status, answer.getheader("Content-Range"), text) == (206, told, content)


def test_a_range_beyond_the_end_is_told(web: WebServer) -> None:
    answer, _text = ask(web, blob_path(), range=f"bytes={len(KERNEL)}-")
    assert (answer.status, answer.getheader("Content-Range")) == (416, f"bytes */{len(KERNEL)}")


def test_a_blob_is_for_ever_and_a_channel_is_asked_for_anew(web: WebServer) -> None:
    blob, _text = ask(web, blob_path(), "HEAD")
    assert blob.getheader("Cache-Control") == "public, max-age=31536000, immutable"
    assert blob.getheader("Content-Length") == str(len(KERNEL))
    script, _text = ask(web, "/lab/netboot.ipxe")
    assert script.getheader("Cache-Control") == "no-cache"
    again, text = ask(web, "/lab/netboot.ipxe", if_none_match=str(script.getheader("ETag")))
    assert (again.status, text) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/.state/lock", "/.state/history/lab.jsonl", "/lab/../.state/lock", "/lab/%2e%2e/.state/lock", "/lab/..%2f.state/lock",
        "/blobs/sha256/../../.state/lock", "/releases/../.state/lock", "/lab", "/blobs/sha256/", "/lab/nothing", "/etc/passwd",
    ],
)  # fmt: skip
def test_what_is_not_served(web: WebServer, path: str) -> None:
    answer, _text = ask(web, path)
    assert answer.status in (400, 404)


def test_https_serves_the_same(web: WebServer) -> None:
    context = ssl.create_default_context(cafile=str(web.directory.parent / "acme" / "fullchain.pem"))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        connection = http.client.HTTPSConnection("127.0.0.1", web.tls_port, timeout=10, context=context)
        connection.request("GET", blob_path(), headers={"Range": "bytes=0-9"})
        assert connection.getresponse().read() == KERNEL[:10]


def test_an_old_ipxe_finds_a_cipher(web: WebServer) -> None:
    """RSA key exchange with AES in CBC mode is all that iPXE of 2019 has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(web.directory.parent / "acme" / "fullchain.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA256:AES128-SHA")
    connection = http.client.HTTPSConnection("127.0.0.1", web.tls_port, timeout=10, context=context)
    connection.request("GET", "/lab/netboot.ipxe")
    assert connection.getresponse().status == 200


def test_the_kernel_sends_the_file_itself(web: WebServer) -> None:
    command = [str(unpacked_nginx()), "-p", str(web.directory), "-c", "nginx.conf", "-e", "stderr", "-T"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "sendfile on;" in done.stdout
    assert "tcp_nopush on;" in done.stdout


def test_the_log_names_the_release(web: WebServer) -> None:
    ask(web, "/lab/netboot.ipxe")
    lines = [json.loads(line) for line in web.requests.splitlines()]
    release_id = (web.root / "lab").resolve().name
    assert {line["release"] for line in lines if line["uri"] == "/lab/netboot.ipxe"} == {release_id}


def test_what_publishing_costs_is_measured_and_writes_no_old_blob(tmp_path: Path) -> None:
    """The benchmark at a small size; it looks for itself that only the changed blob of twenty is written."""
    program = CHECKOUT / "tests" / "benchmarks" / "publish.py"
    command = [sys.executable, str(program), "--directory", str(tmp_path), "--megabytes", "40", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| unchanged |" in done.stdout
    assert list(tmp_path.iterdir()) == []
