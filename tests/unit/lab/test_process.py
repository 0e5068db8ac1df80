# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a process: readiness, sockets, signals, faults on the wire."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from servers import end, launch, running, wait_for, write_config

PROJECT = "7d1b3f0e-52c4-4c8e-9a5e-0c1d2e3f4a5b"
HEADERS = {"X-Auth-Token": "lab-token"}
BID = {
    "devices_min": 1,
    "devices_max": 1,
    "max_bid_price": 1,
    "metro": "am",
    "instance_parameters": {
        "plan": "c3.medium.x86",
        "operating_system": "custom_ipxe",
        "ipxe_script_url": "http://10.213.77.11/netboot.ipxe",
    },
}


def test_it_says_when_it_is_ready_and_on_which_port(tmp_path):
    with running(tmp_path) as emulator:
        assert (tmp_path / "port").read_text() == f"{emulator.port}\n"
        assert httpx.get(f"{emulator.url}/metal/v1/plans", headers=HEADERS).status_code == 200
        assert httpx.get(f"{emulator.url}/lab/health").json()["status"] == "ok"


def test_a_machine_boots_by_the_real_clock_and_survives_a_crash_of_the_emulator(tmp_path):
    def states(url):
        answer = httpx.get(f"{url}/projects/{PROJECT}/devices", headers=HEADERS).json()
        return [device["id"] for device in answer["devices"] if device["state"] == "active"]

    with running(tmp_path) as emulator:
        made = httpx.post(f"{emulator.url}/projects/{PROJECT}/spot-market-requests", json=BID, headers=HEADERS)
        assert made.status_code == 201
        before = wait_for("an active device", lambda: states(emulator.url), 20)
        end(emulator.process, signal.SIGKILL)
    with running(tmp_path) as emulator:
        assert states(emulator.url) == before
        assert httpx.get(f"{emulator.url}/spot-market-requests/{made.json()['id']}", headers=HEADERS).status_code == 200


def test_sigterm_ends_it_in_good_order(tmp_path):
    with running(tmp_path) as emulator:
        assert end(emulator.process) in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{emulator.url}/metal/v1/plans", headers=HEADERS)


def test_a_port_in_use_names_the_setting(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = launch(write_config(tmp_path, listen_port=taken.getsockname()[1]), errors=subprocess.PIPE)
        _output, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "Address already in use; change the setting listen_port" in errors
    assert not (tmp_path / "port").exists()


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "truncate"}, {"kind": "reset", "when": "after"}])
def test_a_connection_may_break_before_or_after_the_effect(tmp_path, fault):
    with running(tmp_path) as emulator:
        url = f"{emulator.url}/metal/v1/projects/{PROJECT}/spot-market-requests"
        httpx.post(f"{emulator.url}/lab/faults", json=fault | {"method": "POST"}).raise_for_status()
        with pytest.raises(httpx.TransportError):
            httpx.post(url, json=BID, headers=HEADERS)
        made = httpx.get(url, headers=HEADERS).json()["spot_market_requests"]
        assert len(made) == (1 if fault.get("when") == "after" else 0)


def test_a_slow_call_delays_no_other(tmp_path):
    with running(tmp_path) as emulator:
        slow = {"kind": "slow", "path": "/plans", "delay_seconds": 30}
        httpx.post(f"{emulator.url}/lab/faults", json=slow).raise_for_status()
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{emulator.url}/plans", headers=HEADERS, timeout=0.3)
        assert httpx.get(f"{emulator.url}/plans", headers=HEADERS, timeout=10).status_code == 200
