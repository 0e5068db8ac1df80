# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The qemu backend for real: a virtual machine gets its address and its script and runs it.

The script is the machine's own userdata, served by the metadata service, so that no web server and no image is needed. The emulator
runs in a network namespace of its own, told apart by this process's number.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metal_lab.backends.qemu import qmp

sys.path.insert(0, str(Path(__file__).parent))
from servers import end, running, wait_for

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
ADDRESS = "10.213.78.2"
SCRIPT = f"""#!ipxe
echo nixmetal-test runs on ${{uuid}} at ${{net0/ip}}
imgfetch http://{ADDRESS}:8080/metadata
sleep 3600
"""
ORDER = {
    "plan": "c3.small.x86",
    "metro": "am",
    "operating_system": "custom_ipxe",
    "ipxe_script_url": f"http://{ADDRESS}:8080/userdata",
}
TOOLS = ("ip", "dnsmasq", "qemu-system-x86_64", "setpriv", "curl")
missing = [tool for tool in TOOLS if not shutil.which(tool)]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(bool(missing), reason=f"the lab's packages are not installed: {', '.join(missing)}"),
]


@pytest.fixture
def namespace():
    name = f"nm-test-{os.getpid()}"
    steps = (
        f"ip netns add {name}",
        f"ip -n {name} link set lo up",
        f"ip -n {name} link add br0 type bridge",
        f"ip -n {name} addr add {ADDRESS}/24 dev br0",
        f"ip -n {name} link set br0 up",
    )
    try:
        for step in steps:
            subprocess.run(step.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


class Client:
    """Calls from inside the namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def __call__(self, method: str, path: str, body: object = None) -> object:
        command = ["ip", "netns", "exec", self._namespace, "curl", "-sS", "-X", method, "--max-time", "20"]
        command += ["-H", "X-Auth-Token: lab-token", "-H", "X-Lab-Token: control", f"http://{ADDRESS}:8080{path}"]
        if body is not None:
            command += ["--data", json.dumps(body)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        try:
            return json.loads(text)
        except ValueError:
            return text

    def boots(self, device_id: str) -> int:
        events = self("GET", f"/devices/{device_id}/events?per_page=100")["events"]
        return [event["type"] for event in events].count("provisioning.104.01")


def settings() -> dict[str, object]:
    return {
        "backend": "qemu",
        "listen_address": ADDRESS,
        "listen_port": 8080,
        "control_token": "control",
        "pool": {"first": "10.213.78.101", "last": "10.213.78.110", "gateway": "10.213.78.1"},
        "qemu": {"memory_mb": 128},
    }


def in_namespace(name: str) -> tuple[str, ...]:
    """ip becomes the program that it starts, so that signals reach the emulator."""
    return ("ip", "netns", "exec", name)


def processes_in(name: str) -> list[str]:
    pids = subprocess.run(["ip", "netns", "pids", name], check=True, capture_output=True, text=True).stdout.split()
    found = []
    for pid in pids:
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if line]


def taps(name: str) -> list[str]:
    links = json.loads(subprocess.run(["ip", "-n", name, "-j", "link"], check=True, capture_output=True).stdout)
    return [link["ifname"] for link in links if link["ifname"].startswith("tap")]


@pytest.mark.long  # the loop boots machines in each run
def test_a_machine_boots_its_script_and_leaves_nothing_behind(namespace, tmp_path):
    call = Client(namespace)
    with running(tmp_path, in_namespace(namespace), **settings()) as emulator:
        order = ORDER | {"userdata": SCRIPT}
        device = call("POST", f"/metal/v1/projects/{PROJECT}/devices", order)
        wait_for("the DHCP event", lambda: call.boots(device["id"]) == 1, 120)
        console = f"/lab/machines/{device['id']}/console"
        mark = f"nixmetal-test runs on {device['id']} at 10.213.78.101"
        wait_for("the script's output", lambda: mark in call("GET", console), 120)

        def metadata_was_fetched():
            calls = call("GET", "/lab/calls")["calls"]
            return [entry for entry in calls if entry["path"] == "/metadata" and entry["status"] == 200]

        wait_for("a fetch of the metadata", metadata_was_fetched, 60)
        assert call("GET", f"/devices/{device['id']}")["state"] == "provisioning"

        assert call("POST", f"/devices/{device['id']}/actions", {"type": "reboot"})["errors"]
        # dnsmasq may die; the next boot needs it again.
        os.kill(int((emulator.state / "dhcp" / "dnsmasq.pid").read_text()), signal.SIGKILL)
        call("POST", f"/phone-home?lab_device={device['id']}")
        assert call("GET", f"/devices/{device['id']}")["state"] == "active"
        call("POST", f"/devices/{device['id']}/actions", {"type": "reboot"})
        wait_for("the DHCP event of the second boot", lambda: call.boots(device["id"]) == 2, 120)

        # As when the guest switches itself off: QEMU ends by itself with status 0.
        asyncio.run(qmp.execute(emulator.state / "machines" / device["id"] / "qmp.sock", "quit"))
        wait_for("the state inactive", lambda: call("GET", f"/devices/{device['id']}")["state"] == "inactive", 20)
        assert not taps(namespace)
        call("POST", f"/devices/{device['id']}/actions", {"type": "power_on"})
        wait_for("the DHCP event of the third boot", lambda: call.boots(device["id"]) == 3, 120)

        assert taps(namespace)
        call("DELETE", f"/devices/{device['id']}")
        wait_for("the end of QEMU", lambda: not [p for p in processes_in(namespace) if "qemu" in p], 20)
        wait_for("the end of the TAP", lambda: not taps(namespace), 20)
        assert mark in (emulator.state / "machines" / device["id"] / "console.log").read_text(errors="replace")

        call("POST", f"/metal/v1/projects/{PROJECT}/devices", order)
        wait_for("a second machine", lambda: [p for p in processes_in(namespace) if "qemu" in p], 30)
        end(emulator.process, signal.SIGKILL)
        wait_for("the end of all processes after SIGKILL", lambda: not processes_in(namespace), 10)

    started = time.monotonic()
    with running(tmp_path, in_namespace(namespace), **settings()) as emulator:
        wait_for("the machine's return", lambda: [p for p in processes_in(namespace) if "qemu" in p], 30)
        assert end(emulator.process) in (0, -signal.SIGTERM)
        assert not processes_in(namespace)
        assert not taps(namespace)
    assert time.monotonic() - started < 60


def on_broken_kvm(directory: Path, acceleration: str) -> dict[str, object]:
    binary = directory / "qemu"
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "broken_kvm.py"} "$@"\n')
    binary.chmod(0o755)
    return settings() | {"qemu": {"acceleration": acceleration, "binary": str(binary)}}


def test_a_machine_on_which_kvm_breaks_down_goes_on_in_software_emulation(namespace, tmp_path):
    call = Client(namespace)
    with running(tmp_path, in_namespace(namespace), **on_broken_kvm(tmp_path, "auto")):
        device = call("POST", f"/metal/v1/projects/{PROJECT}/devices", ORDER)

        def qemu():
            return [line for line in processes_in(namespace) if "broken_kvm.py" in line]

        wait_for("a machine on KVM", lambda: [line for line in qemu() if " kvm " in line], 30)
        wait_for("the same machine without", lambda: [line for line in qemu() if "tcg" in line], 30)
        assert len(qemu()) == 1
        assert call("GET", f"/devices/{device['id']}")["state"] == "provisioning"


def test_where_only_kvm_is_wanted_its_breakdown_is_told(namespace, tmp_path):
    call = Client(namespace)
    with running(tmp_path, in_namespace(namespace), **on_broken_kvm(tmp_path, "kvm")):
        device = call("POST", f"/metal/v1/projects/{PROJECT}/devices", ORDER)
        wait_for("the failure", lambda: call("GET", f"/devices/{device['id']}")["state"] == "failed", 30)
        events = call("GET", f"/devices/{device['id']}/events?per_page=100")["events"]
        assert any("set qemu.acceleration to tcg or auto" in event["body"] for event in events)


def test_a_missing_bridge_names_the_setting(namespace, tmp_path):
    from servers import launch, write_config

    config = write_config(tmp_path, **(settings() | {"qemu": {"bridge": "br9"}}))
    process = launch(config, in_namespace(namespace), errors=subprocess.PIPE)
    _output, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "qemu.bridge: there is no bridge br9" in errors
