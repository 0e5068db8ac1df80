# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of the original shell scripts, by curl itself, and, where NIXMETAL_ORIGINAL_SCRIPTS names a checkout of
NixOS/equinix-metal-builders, the scripts as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from servers import running, wait_for

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
SCRIPTS = os.environ.get("NIXMETAL_ORIGINAL_SCRIPTS")
HEADERS = ("--header", "Accept: application/json", "--header", "Content-Type: application/json")
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")

# What stands in for curl: the scripts' addresses become the emulator's, and Prometheus says that nothing builds.
CURL = """#!/bin/sh
for word; do
  shift
  case $word in
    https://status.nixos.org/*) printf '{"data": {"result": [{"value": [1, "0"]}]}}'; exit 0 ;;
    https://api.packet.net/*) word=$EMULATOR/${word#https://api.packet.net/} ;;
    https://api.equinix.com/*) word=$EMULATOR/${word#https://api.equinix.com/} ;;
  esac
  set -- "$@" "$word"
done
exec %s "$@"
"""


class Cloud:
    def __init__(self, url, root):
        self.url, self.root = url, root
        self.http = httpx.Client(base_url=url, headers={"X-Auth-Token": "lab-token"})

    def curl(self, path, *options):
        done = subprocess.run(
            ["curl", "--silent", "--fail", *HEADERS, "--header", "X-Auth-Token: lab-token", *options, self.url + path],
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout) if done.stdout else None

    def active(self, number):
        def seen():
            found = self.http.get(f"/projects/{PROJECT}/devices?per_page=1000").json()["devices"]
            return found if len(found) == number and all(item["state"] == "active" for item in found) else None

        return wait_for("active machines", seen, 30)

    def script(self, name, *words):
        tools = self.root / "bin"
        tools.mkdir(exist_ok=True)
        (tools / "curl").write_text(CURL % shutil.which("curl"), encoding="utf-8")
        (tools / "nix-shell").write_text('#!/bin/sh\nexec bash "$@"\n', encoding="utf-8")
        for tool in ("curl", "nix-shell"):
            (tools / tool).chmod(0o755)
        env = {"PATH": f"{tools}:/usr/bin:/bin", "EMULATOR": self.url, "HOME": str(self.root)}
        env |= {"PACKET_AUTH_TOKEN": "lab-token", "PACKET_PROJECT_ID": PROJECT}
        (self.root / "tmp").mkdir(exist_ok=True)
        return subprocess.run(
            ["bash", str(Path(str(SCRIPTS)).resolve() / name), *words],
            env=env, cwd=self.root / "tmp", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as emulator:
        yield Cloud(emulator.url, tmp_path)


def bid(cloud):
    """create-spot-request.sh: all facilities by code, the operating system by id."""
    codes = [facility["code"] for facility in cloud.curl("/facilities")["facilities"]]
    parameters = {
        "plan": "c3.medium.x86",
        "hostname": "hydra-c3.medium.x86",
        "billing_cycle": "hourly",
        "userdata": "",
        "project_ssh_keys": [],
        "user_ssh_keys": [],
        "ipxe_script_url": "http://netboot.test/netboot.ipxe",
        "always_pxe": True,
        "tags": ["hydra"],
        "operating_system": "7516833e-1b77-4611-93e9-d48225ca8b3c",
    }
    body = {"devices_max": 2, "devices_min": 1, "max_bid_price": 0.50, "facilities": codes}
    data = json.dumps(body | {"instance_parameters": parameters})
    return cloud.curl(f"/projects/{PROJECT}/spot-market-requests", "--data", data)


def test_the_calls_of_the_original_scripts(cloud):
    request = bid(cloud)
    cloud.active(2)
    listed = cloud.curl(f"/metal/v1/spot-market-requests/{request['id']}?include=devices")["devices"]
    assert all(device["short_id"] == device["id"].split("-")[0] for device in listed)
    one = listed[0]["id"]
    # buildkite.sh, buildkite.nix
    device = next(
        item for item in cloud.curl(f"/projects/{PROJECT}/devices?per_page=1000")["devices"] if item["id"] == one
    )
    assert (device["plan"]["slug"], device["plan"]["name"]) == ("c3.medium.x86", "c3.medium.x86")
    assert (device["hostname"], device["always_pxe"], device["facility"]["code"]) == (
        "hydra-c3.medium.x86",
        True,
        "am6",
    )
    # drain.sh and restore.sh: PATCH, the id beside the tags
    for tags in (["hydra", "skip-hydra"], ["hydra"]):
        answer = cloud.curl(f"/devices/{one}", "-X", "PATCH", "--data", json.dumps({"id": one, "tags": tags}))
        assert answer["tags"] == tags
    assert cloud.curl(f"/devices/{one}/actions", "--data", '{"type": "reboot"}') is None
    assert cloud.curl(f"/devices/{one}", "--request", "DELETE") is None
    with pytest.raises(subprocess.CalledProcessError):
        cloud.curl("/devices/00000000-0000-4000-8000-000000000000")


@pytest.mark.skipif(
    not SCRIPTS, reason="NIXMETAL_ORIGINAL_SCRIPTS does not name a checkout of NixOS/equinix-metal-builders"
)
@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_the_original_scripts_themselves(cloud):
    request = bid(cloud)
    machines = cloud.active(2)
    one = machines[0]
    drained = cloud.script("drain-spot-bid.sh", request["id"])
    assert drained.returncode == 0, drained.stderr
    assert [item["tags"] for item in cloud.active(2)] == [["hydra", "skip-hydra"]] * 2
    restored = cloud.script("restore.sh", one["id"], f"{one['short_id']}.packethost.net", one["sos"])
    assert restored.returncode == 0, restored.stderr
    assert cloud.http.get(f"/devices/{one['id']}").json()["tags"] == ["hydra"]
    # A fault of theirs, not to be copied: no tag but skip-hydra makes grep fail, and the machine stays drained.
    cloud.http.put(f"/devices/{one['id']}", json={"tags": ["skip-hydra"]})
    assert cloud.script("restore.sh", one["id"], "x", "x").returncode != 0
    assert cloud.http.get(f"/devices/{one['id']}").json()["tags"] == ["skip-hydra"]
    ended = cloud.script("terminate-spot-bid.sh", request["id"])
    assert ended.returncode == 0, ended.stderr
    gone = {item["id"]: item["state"] for item in cloud.http.get(f"/projects/{PROJECT}/devices").json()["devices"]}
    assert all(gone.get(item["id"], "deprovisioning") == "deprovisioning" for item in machines)
