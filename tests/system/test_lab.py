# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab runs beside whatever the machine runs, touches none of it, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab_driver import LABS, Lab


def namespaces(lab: Lab) -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout.split()
    return [name for name in listed if name.startswith(f"nm-{lab.name}-")]


def processes_of(lab: Lab) -> dict[int, str]:
    """Command lines that name the lab's directory or one of its namespaces, and the network namespace they run in."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(lab.directory) in command or f"nm-{lab.name}-" in command:
                found[int(path.name)] = os.readlink(path / "ns/net")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_a_second_start_changes_nothing(lab: Lab) -> None:
    lab.up().changed_nothing()


def test_each_host_has_a_root_of_its_own(lab: Lab) -> None:
    lab.coordinator("touch /srv/only-here")
    assert lab.build_host("ls /srv/only-here", check=False).returncode != 0
    assert not Path("/srv/only-here").exists()
    assert lab.coordinator("hostname").stdout == "lab-coordinator\n"
    assert "nm-" not in lab.coordinator("cat /proc/net/dev").stdout


def test_two_labs_run_at_once_and_one_goes_without_the_other(lab: Lab) -> None:
    other = Lab({"lab_backend": "simulated"})
    try:
        other.up().succeeded()
        assert len(namespaces(other)) == 4
        running = processes_of(other)
        assert len(running) >= 4
        assert os.readlink("/proc/self/ns/net") not in running.values(), "the lab runs in this machine's own network"
    finally:
        other.down().succeeded()
    assert namespaces(other) == []
    assert processes_of(other) == {}
    assert not other.interface.exists()
    assert not other.directory.exists()
    assert str(other.directory) not in Path("/proc/mounts").read_text()
    other.down().changed_nothing()
    assert lab.build_host("true").returncode == 0


def test_a_subnet_in_use_is_refused_before_anything_is_made(lab: Lab) -> None:
    other = Lab(subnet=lab.subnet)
    try:
        other.up().refused("lab_subnet", lab.subnet, "Set lab_subnet to a free /24")
        assert namespaces(other) == []
    finally:
        other.down().succeeded()


def test_a_directory_that_is_not_a_labs_is_neither_used_nor_removed(tmp_path: Path) -> None:
    other = Lab({"lab_directory": str(tmp_path), "lab_cache_directory": str(LABS / "cache")})
    (tmp_path / "thesis.txt").write_text("years of work")
    other.up().refused("lab_directory", "is not a lab's directory")
    other.down().refused("is not the directory of the lab", "Nothing was touched")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_labs_name_is_refused(lab: Lab, tmp_path: Path) -> None:
    other = Lab({"lab_directory": str(tmp_path / "lab"), "lab_cache_directory": str(LABS / "cache")}, name=lab.name)
    other.up().refused("lab_name", f"belongs to {lab.directory}")
    other.down().refused(f"belongs to {lab.directory}")
    assert lab.build_host("true").returncode == 0


def test_a_setting_that_cannot_work_is_named() -> None:
    Lab(name="Bad-Name").up().refused("lab_name must be 1 to 8 small letters or digits (Bad-Name)")
