# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of generated calls, by the specification of the API and against it: no 5xx, and no answer that is not documented."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from servers import running

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
TOKEN = "lab-token"
SPECIFICATION = os.environ.get("METAL_OPENAPI")
pytestmark = pytest.mark.skipif(
    not SPECIFICATION, reason="METAL_OPENAPI does not name the OpenAPI file of the Metal API"
)
# The specification leaves out that a project may not be there, as it has for the same path's neighbours.
DEPARTURES = {"/projects/{id}/ssh-keys": "404"}


def call(url: str, path: str, body: Any = None) -> Any:
    import urllib.request

    request = urllib.request.Request(
        f"{url}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Auth-Token": TOKEN, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def known_ids(url: str) -> dict[str, str]:
    """Things that exist, so that the generated calls reach more than 404."""
    order = {"plan": "c3.small.x86", "operating_system": "debian_12", "metro": "da"}
    bid = {"devices_min": 1, "devices_max": 1, "max_bid_price": 0.01, "metro": "am", "instance_parameters": order}
    key = {"label": "a", "key": "ssh-ed25519 A"}
    return {
        "/projects/": PROJECT,
        "/devices/": call(url, f"/projects/{PROJECT}/devices", order)["id"],
        "/spot-market-requests/": call(url, f"/projects/{PROJECT}/spot-market-requests", bid)["id"],
        "/ssh-keys/": call(url, "/ssh-keys", key)["id"],
        "/organizations/": call(url, f"/projects/{PROJECT}")["organization"]["href"].rsplit("/", 1)[1],
    }


def narrowed(specification: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """The specification with ids that exist, beside one that does not, and with the answers that it leaves out."""
    for path, item in specification["paths"].items():
        existing = next((value for start, value in ids.items() if path.startswith(start)), None)
        for method, operation in item.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            for parameter in operation.get("parameters", []) + item.get("parameters", []):
                if parameter.get("in") == "path" and existing:
                    parameter["schema"] = {"type": "string", "enum": [existing, UNKNOWN]}
            if path in DEPARTURES:
                operation["responses"][DEPARTURES[path]] = {"description": "no such project"}
    return specification


def run_generated(specification: Path, url: str, examples: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", str(specification), "--url", url),
            *("--header", f"X-Auth-Token: {TOKEN}", "--checks", "not_a_server_error,status_code_conformance"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)),
            *("--seed", "1", "--continue-on-failure"),
            "--generation-deterministic",
        ],
        cwd=specification.parent,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("examples", [10, pytest.param(150, marks=pytest.mark.long)])
def test_generated_calls_find_no_server_error(
    tmp_path: Path, examples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = {"first": "10.0.0.10", "last": "10.0.255.254", "prefix_length": 16, "gateway": "10.0.0.1"}
    reservations = [{"plan": "c3.small.x86", "metro": "da", "count": 3}]
    with running(tmp_path, pool=pool, reservations=reservations) as emulator:
        url = f"{emulator.url}/metal/v1"
        wanted = narrowed(yaml.safe_load(Path(str(SPECIFICATION)).read_text(encoding="utf-8")), known_ids(url))
        path = tmp_path / "narrowed.yaml"
        path.write_text(yaml.safe_dump(wanted), encoding="utf-8")
        done = run_generated(path, url, examples)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    counted = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert counted, done.stdout[-3000:]
    with capsys.disabled():
        print(f"\ngenerated calls: {counted[0]}, at most {examples} examples for each operation")
    assert counted[1] == counted[2]
    assert int(counted[1]) > 500
