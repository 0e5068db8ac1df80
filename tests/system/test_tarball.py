# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users have it: an installed tarball, a home of their own, no checkout and no ansible.cfg in sight."""

from __future__ import annotations

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


@pytest.mark.parametrize("playbook", ["build", "launch_spot", "machines"])
def test_a_playbook_runs_by_its_name(
    lab: Lab, handed_over: list[dict[str, Any]], installed: Path, playbook: str
) -> None:
    env = environment(installed)
    env["NO_PROXY"] = env["no_proxy"] = f"{lab.address(2)},{lab.address(11)}"
    done = subprocess.run(
        ["ansible-playbook", "-i", str(lab.inventory), f"nixmetal.builders.{playbook}"],
        cwd=installed, env=env, check=False, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    Played(done.returncode, done.stdout).changed_nothing()
