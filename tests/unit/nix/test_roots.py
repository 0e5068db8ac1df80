# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scripts of the roots on disks do, in order, with programs that only write down how they were called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shells import LIBRARY, shell

# Not busybox: its shell prefers its own mkswap, swapon and mount to those on PATH, which would be this machine's. NixOS has bash.
SHELLS = ("sh", "bash")
PROGRAMS = ("wipefs", "cryptsetup", "mkswap", "swapon", "mount", "zpool", "zfs", "unsquashfs")
MEMINFO = "MemTotal:       67108864 kB\nMemFree:        1 kB\n"
SWAPS = (
    "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-0\tpartition\t1000000\t0\t10\n/dev/dm-1\tpartition\t500000\t0\t10\n"
)
WIPED = [
    "wipefs --all --no-act --quiet /dev/nvme0n1",
    "wipefs --all --no-act --quiet /dev/nvme1n1",
    "wipefs --all --quiet /dev/nvme0n1 /dev/nvme1n1",
]


class Machine:
    """A machine with two allowed disks."""

    def __init__(self, directory: Path, shell_name: str) -> None:
        self.directory = directory
        self.shell = shell(shell_name)
        self.calls = directory / "calls"
        self.programs = directory / "programs"
        self.programs.mkdir()
        for program in PROGRAMS:
            self.program(program, "")
        self.choose('printf "/dev/nvme0n1\\n/dev/nvme1n1\\n"')
        (directory / "meminfo").write_text(MEMINFO)
        (directory / "swaps").write_text(SWAPS)

    def program(self, name: str, more: str) -> None:
        path = self.programs / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.calls}"\n{more}\n')
        path.chmod(0o755)

    def choose(self, text: str) -> None:
        (self.directory / "choose").write_text(text + "\n")

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.shell, str(LIBRARY / script), *arguments],
            env={
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "NIXMETAL_PROC": str(self.directory),
                "NIXMETAL_CHOOSE_DISKS": str(self.directory / "choose"),
                "NIXMETAL_SEGMENT_DIRECTORY": str(self.directory / "segments"),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


def test_every_chosen_disk_becomes_encrypted_swap_of_one_priority(machine: Machine) -> None:
    done = machine.run("encrypted-swap.sh")
    assert done.returncode == 0, done.stderr
    opened = "cryptsetup open --batch-mode --type plain --cipher aes-xts-plain64 --key-size 512 --key-file /dev/urandom"
    wanted = list(WIPED)
    for number, disk in enumerate(("/dev/nvme0n1", "/dev/nvme1n1")):
        name = f"nixmetal-swap-{number}"
        wanted += [
            f"{opened} {disk} {name}",
            f"mkswap /dev/mapper/{name}",
            f"swapon --priority 10 /dev/mapper/{name}",
        ]
    # Half of 64 GiB, and both disks; an inode for each page of 4 KiB.
    size = 67108864 // 2 + 1500000
    assert machine.called() == [*wanted, f"mount -o remount,size={size}k,nr_inodes={size // 4} /sysroot"]


def test_every_chosen_disk_is_in_one_pool(machine: Machine) -> None:
    done = machine.run("zfs-stripe.sh", "nixmetal", "root")
    assert done.returncode == 0, done.stderr
    calls = machine.called()
    assert calls[:3] == WIPED
    create, dataset = calls[-2:]
    assert create.startswith("zpool create -f ")
    assert create.endswith(" nixmetal /dev/nvme0n1 /dev/nvme1n1")
    assert "-O sync=disabled" in create
    assert dataset == "zfs create -o mountpoint=legacy nixmetal/root"


def test_a_disk_without_a_label_is_no_failure(machine: Machine) -> None:
    machine.program("zpool", '[ "$1" != labelclear ]')
    assert machine.run("zfs-stripe.sh", "nixmetal", "root").returncode == 0


@pytest.mark.parametrize("script", ["encrypted-swap.sh", "zfs-stripe.sh"])
def test_without_an_allowed_disk_none_is_touched(machine: Machine, script: str) -> None:
    machine.choose('echo "/dev/sda"; exit 1')
    done = machine.run(script, "nixmetal", "root")
    assert done.returncode == 1
    assert "no disk may be erased, and none was touched" in done.stderr
    assert machine.called() == []


@pytest.mark.parametrize("script", ["encrypted-swap.sh", "zfs-stripe.sh"])
def test_when_one_disk_is_in_use_none_is_touched(machine: Machine, script: str) -> None:
    machine.program("wipefs", '[ "$4" != /dev/nvme1n1 ]')
    done = machine.run(script, "nixmetal", "root")
    assert done.returncode == 1
    assert "/dev/nvme1n1 cannot be opened by this machine alone: it is in use, and no disk was touched" in done.stderr
    assert machine.called() == WIPED[:2]


@pytest.mark.parametrize(
    ("script", "program"),
    [("encrypted-swap.sh", name) for name in ("wipefs", "cryptsetup", "mkswap", "swapon", "mount")]
    + [("zfs-stripe.sh", name) for name in ("wipefs", "zpool", "zfs")],
)
def test_a_step_that_fails_ends_it(machine: Machine, script: str, program: str) -> None:
    machine.program(program, '[ "$1" = labelclear ]')
    assert machine.run(script, "nixmetal", "root").returncode != 0
    assert machine.called()[-1].startswith(program)


def test_segments_are_unpacked_in_order_and_the_registration_is_kept(machine: Machine) -> None:
    segments = machine.directory / "segments"
    segments.mkdir()
    for name in ("90-system", "10-base"):
        (segments / f"{name}.squashfs").write_text(name)
    root = machine.directory / "root"
    machine.program("unsquashfs", f'cp "${{6}}" {root}/nix/store/nix-path-registration')
    done = machine.run("unpack-store.sh", str(root))
    assert done.returncode == 0, done.stderr
    assert [call.rsplit("/", 1)[1] for call in machine.called()] == ["10-base.squashfs", "90-system.squashfs"]
    assert (root / "nix/.nix-path-registration").read_text() == "90-system"
    assert not (root / "nix/store/nix-path-registration").exists()


def test_without_segments_it_says_so(machine: Machine) -> None:
    done = machine.run("unpack-store.sh", str(machine.directory / "root"))
    assert done.returncode == 1
    assert "there is no segment" in done.stderr
