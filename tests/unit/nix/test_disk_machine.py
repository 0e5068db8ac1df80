# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypted swap on real disks of a virtual machine: only those that are allowed are erased."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from disk_machine import boot, erased

pytestmark = pytest.mark.long


def used_swap(console: str) -> list[int]:
    """KiB that lie in each swap, when the root was filled."""
    lines = [line.split() for line in console.splitlines() if line.startswith("/dev/mapper/nixmetal-swap-")]
    return [int(line[3]) for line in lines]


def test_only_the_allowed_disk_becomes_swap_and_the_root_spills_to_it(tmp_path: Path) -> None:
    console = boot(tmp_path, "type=virtio,serial=allowed")
    assert "status 0" in console
    assert "the end" in console
    assert erased(tmp_path) == {"allowed"}
    (used,) = used_swap(console)
    # 900 MB in a root on a machine of 768 MB.
    assert used > 200_000
    # The file of zeros is no zeros on the disk.
    assert (tmp_path / "allowed").read_bytes()[64 << 20 : 65 << 20].count(0) < 1 << 16


def test_two_disks_are_filled_in_turn(tmp_path: Path) -> None:
    console = boot(tmp_path, "type=virtio")
    assert erased(tmp_path) == {"allowed", "other"}
    one, two = used_swap(console)
    assert one > 100_000
    assert abs(one - two) < one / 5


def test_without_an_allowed_disk_the_hardware_is_listed_and_nothing_is_touched(tmp_path: Path) -> None:
    console = boot(tmp_path, "type=nvme")
    assert "no disk of this machine may be erased by the allow list 'type=nvme'" in console
    assert "serial='allowed' 512 MiB: is not on the allow list" in console
    assert "is not known to be local (USB" in console
    assert "status 1" in console
    assert erased(tmp_path) == set()


def test_the_disks_of_a_mounted_btrfs_are_not_touched(tmp_path: Path) -> None:
    console = boot(tmp_path, "type=virtio", held="btrfs")
    assert "btrfs is mounted" in console
    # The second disk stands in no line of mountinfo: the kernel says who holds it.
    assert "wipe-disks: /dev/vdb cannot be opened by this machine alone: it is in use" in console
    assert "wipe status 1" in console
    for disk in ("allowed", "other"):
        assert f"serial='{disk}' 512 MiB: is in use" in console
        assert (tmp_path / disk).read_bytes()[0x10040:0x10048] == b"_BHRfS_M"
    assert "encrypted-swap: no disk may be erased, and none was touched" in console
    assert "status 1" in console.partition("no disk may be erased")[2]
