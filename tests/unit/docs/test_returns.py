# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-doc says that modules return is what they return, key by key and type by type, on an emulated cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tests" / "unit" / "lab"))
from servers import running  # noqa: E402

BOUGHT = {"fleet": "lab", "plan": "c3.small.x86", "ipxe_script_url": "http://web.test/netboot.ipxe"}
MACHINE = {"fleet": "lab", "device_id": "{{ metal_device.devices[0].id }}"}
WHEN = {"at": "2026-03-01T12:00:00Z", "termination_time": "2026-03-01T12:02:00Z"}
RECLAIM = {**WHEN, "device_id": "one", "plan": "c3.small.x86", "metro": "am"}
NAMES = {"fleet": "lab", "owner": "alice@control", "purpose": "launch"}
# In this order, because some need what others made.
CALLS: dict[str, dict[str, Any]] = {
    "metal_device": {**BOUGHT, "name": "one", "metros": ["am"], "wait": True},
    "metal_device_info": {},
    "metal_device_tags": {"fleet": "lab", "machines": "{{ {metal_device.devices[0].id: ['more']} }}"},
    "metal_device_event_info": {"device_id": MACHINE["device_id"]},
    "metal_device_power": {**MACHINE, "state": "rebooted", "wait": False},
    "metal_plan_info": {},
    "metal_metro_info": {},
    "metal_capacity_info": {},
    "metal_spot_price_info": {},
    "metal_spot_market_request": {**BOUGHT, "name": "two", "metro": "am", "max_bid_price": 0.5, "devices_max": 1},
    "metal_spot_market_request_info": {"fleet": "lab"},
    "fleet_lock": {**NAMES, "state": "acquired", "path": "{{ folder }}/locks"},
    "fleet_reclaims": {"path": "{{ folder }}/reclaims.jsonl", "reclaims": [RECLAIM]},
    "ssh_host_tags": {"path": "{{ folder }}/tags.json", "state": "initialised"},
    "netboot_release_info": {"root": "{{ folder }}/web"},
    "hydra_queue_info": {"url": "http://127.0.0.1:1/"},
}
# What Ansible itself says of each task.
ANSIBLE = {"changed", "failed", "diff", "warnings", "deprecations", "invocation", "exception"}
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
ALWAYS = {"always", "success"}


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    command = [sys.executable, "-m", "ansible", "doc", "--json", *(f"nixmetal.builders.{name}" for name in CALLS)]
    env = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")}
    answer = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    return {name.rpartition(".")[2]: plugin["return"] for name, plugin in json.loads(answer).items()}


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("returns")
    (folder / "web").mkdir()
    with running(folder, token="lab-token") as emulator:
        run = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(playbook(folder, emulator.url))],
            env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stdout + run.stderr
    told: dict[str, Any] = json.loads((folder / "returned.json").read_text(encoding="utf-8"))
    return told


def playbook(folder: Path, url: str) -> Path:
    tasks: list[dict[str, Any]] = [
        {f"nixmetal.builders.{name}": options, "register": name} for name, options in CALLS.items()
    ]
    all_of_them = ", ".join(f"'{name}': {name}" for name in CALLS)
    kept = {"content": f"{{{{ {{{all_of_them}}} | to_json }}}}", "dest": f"{folder}/returned.json", "mode": "0600"}
    tasks.append({"ansible.builtin.copy": kept})
    api = {"metal_api_url": f"{url}/metal/v1", "metal_auth_token": "lab-token"}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"folder": str(folder), "ansible_python_interpreter": sys.executable},
        "module_defaults": {
            "group/nixmetal.builders.metal": {**api, "project_id": "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"}
        },
        "tasks": tasks,
    }
    path = folder / "play.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
    return path


def differences(spec: Mapping[str, Any], value: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What is returned and not documented, documented and not returned, or of another type."""
    yield from (f"{path}{key} is not documented" for key in sorted(set(value) - set(spec)))
    for key, told in spec.items():
        if key not in value:
            if told.get("returned", "always") in ALWAYS:
                yield f"{path}{key} is not returned"
            continue
        found = value[key]
        if found is None:
            if "null" not in str(told["description"]):
                yield f"{path}{key} is null, which is not documented"
        elif not isinstance(found, TYPES[told["type"]]):
            yield f"{path}{key} is {found!r}, not of type {told['type']}"
        elif "contains" in told:
            for entry in found if isinstance(found, list) else [found]:
                yield from differences(told["contains"], entry, f"{path}{key}.")


@pytest.mark.parametrize("name", CALLS)
def test_what_is_documented_is_returned(name: str, documented: dict[str, Any], returned: dict[str, Any]) -> None:
    value = {key: found for key, found in returned[name].items() if key not in ANSIBLE}
    assert list(differences(documented[name], value)) == []
