# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection equinix.cloud, as it is, on the emulator; and what its inventory makes of machines that share a hostname.

NIXMETAL_EQUINIX_CLOUD names a virtual environment with ansible-core, equinix 0.5.0 and ansible-specdoc, and with the collection
equinix.cloud 0.12.0 below its directory collections. Neither is needed otherwise, so neither is installed by `make setup`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from servers import running, wait_for

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
CHECKOUT = Path(__file__).resolve().parents[3]
PEER = os.environ.get("NIXMETAL_EQUINIX_CLOUD")
pytestmark = pytest.mark.skipif(
    not PEER, reason="NIXMETAL_EQUINIX_CLOUD does not name an environment with the collection equinix.cloud"
)


class Cloud:
    def __init__(self, url, root):
        self.url, self.root = url, root
        self.http = httpx.Client(base_url=url, headers={"X-Auth-Token": "lab-token"})

    def run(self, program, *words, collections):
        env = os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "METAL_API_URL": f"{self.url}/metal/v1",
            "METAL_AUTH_TOKEN": "lab-token",
            "NIXMETAL_PEER_API": f"{self.url}/metal/v1",
            "PYTHONPATH": str(Path(__file__).with_name("peers")),
        }
        done = subprocess.run([program, *words], env=env, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def peer(self, module, **options):
        """The result of one of the peer's modules."""
        words = ["localhost", "-i", "localhost,", "-c", "local", "-m", f"equinix.cloud.{module}"]
        words += ["-e", f"ansible_python_interpreter={PEER}/bin/python", "-o"]
        words += ["-a", json.dumps(options)] if options else []
        printed = self.run(f"{PEER}/bin/ansible", *words, collections=f"{PEER}/collections")
        return json.loads(printed.partition("=> ")[2])

    def listed(self, name, options, python, collections):
        """An inventory's hosts, each with its address."""
        path = self.root / name
        path.write_text(yaml.safe_dump(options), encoding="utf-8")
        words = [str(Path(python).with_name("ansible-inventory")), "-i", str(path), "--list"]
        listing = json.loads(self.run(python, *words, collections=collections))
        addresses = {name: host["ansible_host"] for name, host in listing["_meta"]["hostvars"].items()}
        # ansible-inventory marks what is no template.
        return {
            name: value["__ansible_unsafe"] if isinstance(value, dict) else value for name, value in addresses.items()
        }


@pytest.fixture
def cloud(tmp_path):
    with running(tmp_path) as emulator:
        yield Cloud(emulator.url, tmp_path)


def test_the_peers_modules(cloud):
    order = {"project_id": PROJECT, "hostname": "one", "operating_system": "debian_12", "plan": "c3.small.x86"}
    made = cloud.peer("metal_device", metro="am", tags=["a"], **order)
    assert (made["changed"], made["metro"], made["tags"]) == (True, "am", ["a"])
    assert cloud.peer("metal_device", metro="am", tags=["a"], **order)["changed"] is False
    changed = cloud.peer("metal_device", id=made["id"], tags=["a", "b"])
    assert (changed["changed"], changed["tags"]) == (True, ["a", "b"])
    found = cloud.peer("metal_device_info", project_id=PROJECT)["resources"]
    assert [device["id"] for device in found] == [made["id"]]
    assert "c3.small.x86" in {plan["slug"] for plan in cloud.peer("metal_plan_info")["resources"]}
    assert "am" in {metro["code"] for metro in cloud.peer("metal_metro_info")["resources"]}
    assert cloud.peer("metal_project_info")["resources"][0]["id"] == PROJECT
    assert cloud.peer("metal_hardware_reservation_info", project_id=PROJECT)["resources"] == []
    assert cloud.peer("metal_device", id=made["id"], state="absent")["changed"] is True


def test_machines_of_one_hostname_are_one_to_the_peer_and_each_its_own_to_ours(cloud, capsys):
    """As spot market requests make them: the peer's inventory loses all but one, without a word."""
    parameters = {"plan": "c3.small.x86", "operating_system": "debian_12", "hostname": "builder"}
    bid = {"devices_min": 3, "devices_max": 3, "max_bid_price": 1, "metro": "am", "instance_parameters": parameters}
    assert cloud.http.post(f"/projects/{PROJECT}/spot-market-requests", json=bid).status_code == 201

    def active():
        found = cloud.http.get(f"/projects/{PROJECT}/devices").json()["devices"]
        return found if [device["state"] for device in found] == ["active"] * 3 else None

    machines = {device["id"]: device["ip_addresses"][0]["address"] for device in wait_for("machines", active, 30)}
    peer = {"plugin": "equinix.cloud.metal_device", "project_ids": [PROJECT], "metal_api_token": "lab-token"}
    theirs = cloud.listed("peer.equinix.yml", peer, f"{PEER}/bin/python", f"{PEER}/collections")
    own = {"plugin": "nixmetal.builders.metal_builders", "project_id": PROJECT}
    ours = cloud.listed("metal_builders.yml", own, sys.executable, CHECKOUT / ".collections")
    with capsys.disabled():
        print(f"\n3 machines named builder: equinix.cloud lists {len(theirs)} ({theirs}), ours {len(ours)} ({ours})")
    assert ours == machines
    assert list(theirs) == ["builder"]
    assert theirs["builder"] in machines.values()
