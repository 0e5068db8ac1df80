# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's network refuses, and which commands lay it. That they work is seen by tests/system."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[4]

if TYPE_CHECKING:
    from lab_network import Network


@pytest.fixture
def network() -> Network:
    import lab_network

    subnet = ipaddress.IPv4Network("10.213.77.0/24")
    return lab_network.Network("lab", "/srv/lab", subnet, "10.213.77.1", "10.213.77.2", {"web": "10.213.77.11"})


@pytest.mark.parametrize(
    ("route", "clash"),
    [
        ({"dst": "default", "dev": "eth0"}, False),
        ({"dst": "192.0.2.0/24", "dev": "eth0"}, False),
        ({"dst": "10.213.77.0/24", "dev": "nm-lab"}, False),
        ({"dst": "10.213.77.0/24", "dev": "eth0"}, True),
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, True),
        ({"dst": "10.213.77.9", "dev": "eth1"}, True),
    ],
)
def test_a_subnet_in_use_is_seen(network: Network, route: dict[str, Any], clash: bool) -> None:
    import lab_network

    assert bool(lab_network.overlapping(network, [route])) is clash


def test_a_subnet_in_use_is_refused_with_the_remedy(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    import lab_network

    monkeypatch.setattr(lab_network, "query", lambda *_: [{"dst": "10.0.0.0/8", "dev": "tun0"}])
    with pytest.raises(SystemExit, match=r"lab_subnet: 10.213.77.0/24 overlaps .*10.0.0.0/8 on tun0.*Set lab_subnet"):
        lab_network.refuse_overlap(network)


@pytest.mark.parametrize("link", [{"ifname": "nm-lab", "ifalias": "/srv/other"}, {"ifname": "nm-lab"}])
def test_another_labs_interface_is_refused(
    network: Network, link: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import lab_network

    monkeypatch.setattr(lab_network, "query", lambda *_: [link])
    with pytest.raises(SystemExit, match="lab_name: the interface nm-lab belongs to"):
        lab_network.refuse_foreign(network)


def test_the_same_lab_in_a_container_is_another_lab(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    import lab_network

    answers = {"link": [{"ifname": "nm-lab", "ifalias": network.directory}], "netns": [{"name": "nm-lab-cloud"}]}
    monkeypatch.setattr(lab_network, "query", lambda *words: answers[words[0]])
    lab_network.refuse_foreign(network)
    answers["netns"] = []
    with pytest.raises(SystemExit, match="belongs to a lab of another root directory"):
        lab_network.refuse_foreign(network)


def test_only_missing_namespaces_are_made(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    import lab_network

    monkeypatch.setattr(lab_network, "query", lambda *_: [{"ifname": "lo", "flags": ["UP"]}])
    assert lab_network.namespace_commands(network, {"nm-lab-cloud", "nm-lab-web"}) == []
    made = lab_network.namespace_commands(network, {"nm-lab-cloud"})
    assert made[0] == ["ip", "netns", "add", "nm-lab-web"]


def test_an_interface_name_fits_the_kernel(network: Network) -> None:
    assert len(network.interface.replace("lab", "x" * 8)) <= 15


@pytest.mark.skipif(os.getuid() != 0, reason="namespaces of one's own need root")
def test_an_interrupted_run_is_made_good_by_the_next() -> None:
    """Cut before each of its commands, in namespaces of its own."""
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT / "roles/lab/files")}
    program = str(Path(__file__).with_name("network_cuts.py"))
    done = subprocess.run([*command, program], env=env, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    cuts = json.loads(done.stdout)
    assert len(cuts["up"]) > 15
    assert len(cuts["down"]) > 3
    assert all(cuts["up"] + cuts["down"]), cuts
