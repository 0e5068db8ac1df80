# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users have it: an installed tarball, a home of their own, no checkout and no ansible.cfg in sight."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lab_driver import CHECKOUT, TOOLS, Lab, Played

pytestmark = [pytest.mark.loop, pytest.mark.long]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty place with the collection in it, and nothing else of ours."""
    place = tmp_path_factory.mktemp("installed")
    (place / "home").mkdir()
    galaxy = [str(TOOLS / "ansible-galaxy"), "collection"]
    subprocess.run([*galaxy, "build", "--output-path", str(place)], cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)
    tarball = next(place.glob("*.tar.gz"))
    install = [*galaxy, "install", str(tarball), "-p", str(place / "collections")]
    subprocess.run(install, cwd=place, env=environment(place), check=True, stdout=subprocess.DEVNULL)
    return place


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "METAL_", "PACKET_"))}
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    collections = {"ANSIBLE_COLLECTIONS_PATH": str(place / "collections"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    return {**kept, **collections, "HOME": str(place / "home"), "PATH": path}


def play(lab: Lab, installed: Path, playbook: str, **settings: Any) -> Played:
    env = environment(installed)
    env["NO_PROXY"] = env["no_proxy"] = f"{lab.address(2)},{lab.address(11)}"
    given = ["-e", json.dumps(settings)] if settings else []
    done = subprocess.run(
        ["ansible-playbook", "-i", str(lab.inventory), f"nixmetal.builders.{playbook}", *given],
        cwd=installed, env=env, check=False, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return Played(done.returncode, done.stdout)


@pytest.mark.parametrize("playbook", ["build", "launch_spot", "machines"])
def test_it_changes_nothing_of_what_the_checkout_did(
    lab: Lab, handed_over: list[dict[str, Any]], installed: Path, playbook: str
) -> None:
    # Tests before this one may have published another image.
    lab.play(playbook).succeeded()
    play(lab, installed, playbook).changed_nothing()


def requests(lab: Lab) -> int:
    return len(lab.api("/spot-market-requests")["spot_market_requests"])


def test_it_builds_and_publishes_an_image_of_its_own_and_bids_for_machines(
    lab: Lab, handed_over: list[dict[str, Any]], installed: Path
) -> None:
    """A bid below the price, which waits on the market: other tests tell what machines do."""
    key = (lab.directory / "ssh/id_ed25519.pub").read_text().strip()
    args = {"packages": "/srv/nixmetal-lab/packages", "busybox": "/usr/bin/busybox", "authorizedKeys": [key]}
    small = {"name": "small", "channel": "lab-x86_64-linux", "max_bid_usd_per_hour": 0.5, "count": 2, "tags": ["hydra"]}
    carried = {"name": "carried", "channel": "carried", "max_bid_usd_per_hour": 0.05, "count": 1}
    where = {"provider": "equinix_metal", "plan": "c3.small.x86", "metros": ["am", "da"]}
    channels = [{"name": name, "base_url": lab.web} for name in ("lab-x86_64-linux", "carried")]
    settings = {
        "netboot_image_settings": {"channel": "carried", "file": "lab/default.nix", "args": args},
        "netboot_channels": channels,
    }
    try:
        first = play(lab, installed, "build", **settings).succeeded()
        assert first.changed["lab-build"] > 0
        assert first.changed["lab-web"] > 0
        assert lab.web_host("readlink /srv/netboot/carried").stdout.startswith("releases/carried/")
        play(lab, installed, "build", **settings).changed_nothing()

        before = requests(lab)
        bids = {"spot_fleet_bids": [small | where, carried | where], "netboot_channels": channels}
        play(lab, installed, "launch_spot", **bids).succeeded()
        assert requests(lab) == before + 1
        play(lab, installed, "launch_spot", **bids).changed_nothing()
        play(lab, installed, "launch_spot", spot_fleet_end_undeclared=True).succeeded()
        assert requests(lab) == before
    finally:
        lab.web_host("rm -rf /srv/netboot/carried /srv/netboot/releases/carried")
