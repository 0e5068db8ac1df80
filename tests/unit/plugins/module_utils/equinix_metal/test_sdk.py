# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the SDK is loaded: cheaply in a module's own process, and whole for whoever comes later. Each in a new process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).parents[5] / ".collections"
PACKAGE = "ansible_collections.nixmetal.builders.plugins.module_utils.equinix_metal"


def run(program: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        env={"PYTHONPATH": str(COLLECTIONS), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("how", ["load_lean", "load_whole"])
def test_the_sdk_is_whole_for_whoever_imports_it_later(how: str) -> None:
    program = f"""
from {PACKAGE} import sdk
ours = sdk.{how}()
import equinix_metal
assert equinix_metal.DevicesApi and equinix_metal.Device.from_dict({{"id": "x"}}).id == "x"
assert equinix_metal.SpotMarketApi(equinix_metal.ApiClient())
from equinix_metal.models.device import Device
assert Device is equinix_metal.Device
print("whole")
"""
    assert run(program) == "whole\n"


def test_the_lean_way_loads_no_models_and_leaves_nothing_half_loaded() -> None:
    program = f"""
import sys
from {PACKAGE} import sdk
seen = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        seen.append(name)
sys.meta_path.insert(0, Watch())
loaded = sdk.load_lean()
assert "equinix_metal.rest" in seen and not [name for name in seen if name.startswith(("equinix_metal.models", "pydantic"))]
print(sorted(name for name in sys.modules if name.startswith("equinix_metal")))
configuration = loaded.configuration(host="http://127.0.0.1:9")
try:
    loaded.connections(configuration).request("GET", "http://127.0.0.1:9/", _request_timeout=(0.1, 0.1))
except Exception as error:
    print(type(error).__name__)
"""
    assert run(program) == "[]\nMaxRetryError\n"


def test_the_lean_way_uses_the_sdk_that_is_there_already() -> None:
    program = f"""
import equinix_metal
from {PACKAGE} import sdk
assert sdk.load_lean().connections is equinix_metal.rest.RESTClientObject
print("same")
"""
    assert run(program) == "same\n"


@pytest.mark.parametrize("how", ["load_lean", "load_whole"])
def test_a_missing_sdk_is_told(how: str) -> None:
    program = f"""
from {PACKAGE} import errors, sdk
try:
    sdk.{how}()
except errors.LibraryMissing as error:
    print(error)
"""
    # -S: without the directory in which packages are installed.
    assert "equinix-metal is needed" in run(program, "-S")
