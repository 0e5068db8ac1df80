# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reboots of a step in a fleet with two providers, of which one cannot be asked at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[3]
IDS = {
    "ssh_host": ["rack1-z", "rack1-a", "rack1-m"],
    "equinix_metal": ["00000000-0000-4000-8000-00000000dead", "00000000-0000-4000-8000-00000000beef"],
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("reboots")
    hosts = {
        name: {"builder_provider": provider, "builder_fleet": "ci"} for provider, names in IDS.items() for name in names
    }
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"builders": {"hosts": hosts}}), encoding="utf-8")
    variables = {
        "kept": str(folder / "kept.json"),
        "spot_fleet_name": "ci",
        "ansible_python_interpreter": sys.executable,
        # Without a token, the modules of this provider fail before they ask of any machine.
        "metal_auth_token": "",
        "metal_project_id": "",
        "metal_api_url": "http://[::1]:9",
    }
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), "-i", "localhost,", "--check"]
    done = subprocess.run(
        [
            *command,
            str(HERE / "reboots/reboots.yml"),
            "-e",
            json.dumps(variables),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, object] = json.loads((folder / "kept.json").read_text(encoding="utf-8"))
    return told


def test_each_machine_is_asked_once_in_the_order_of_the_step(kept: dict[str, object]) -> None:
    assert kept["sent"] == IDS["ssh_host"]


def test_a_provider_that_cannot_be_asked_refuses_each_of_its_machines_and_no_other(kept: dict[str, object]) -> None:
    refused = kept["refused"]
    assert isinstance(refused, dict)
    assert sorted(refused) == sorted(IDS["equinix_metal"])
    assert all("metal_auth_token" in why for why in refused.values()), refused
