# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for all tests of the loop: the image is built once, and two machines boot once.

Each step is a fixture that needs the one before, so that any test can be run by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

sys.path.insert(0, str(Path(__file__).parent))

from demo import builders
from lab_driver import Built, Lab

BOOT_SECONDS = 600


# Whose tests need the image that is built once, or the machines that boot it: one worker runs them all, in one lab.
OF_ONE_IMAGE = {"build", "existing_image", "fleet", "fleet_build", "lost_connection", "stage_1", "tarball", "update"}


class LabScheduling(LoadScopeScheduling):
    """Hands out files to workers, which share no lab, and the files of one image to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        name = Path(nodeid.partition("::")[0]).stem
        return "image" if name.removeprefix("test_") in OF_ONE_IMAGE else name


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return LabScheduling(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    if "built" in getattr(item, "fixturenames", ()) and item.path.stem.removeprefix("test_") not in OF_ONE_IMAGE:
        raise pytest.UsageError(f"{item.path.name} needs the image, so it belongs to OF_ONE_IMAGE in {__file__}")
    item.add_marker(pytest.mark.loop)
    if os.geteuid() != 0:
        item.add_marker(pytest.mark.skip(reason="the lab's tests look into its hosts, and need root"))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    lab = Lab({"lab_bid_count": 2, "lab_machine_memory_mb": 512})
    try:
        lab.up().succeeded()
        yield lab
    finally:
        lab.down().succeeded()


@pytest.fixture(scope="session")
def built(lab: Lab) -> Built:
    before = lab.carried_bytes()
    run = lab.play("build").succeeded()
    return Built(run, lab.carried_bytes() - before)


@pytest.fixture(scope="session")
def machines(lab: Lab, built: Built) -> list[dict[str, Any]]:
    """The facts of two machines that were bought and have booted."""
    lab.play("launch_spot", spot_fleet_wait=True, spot_fleet_wait_timeout=BOOT_SECONDS).succeeded()
    return builders(lab.listing())


@pytest.fixture(scope="session")
def handed_over(lab: Lab, machines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The machines, now in the coordinator's machines file."""
    lab.play("machines").succeeded()
    return machines
