# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine tells the read-only facts key, and what the build keys may run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shells import NAMES, run

BOOT_ID = "34f96eb7-aaf8-46d4-93b0-7a113c424f29"


def process(proc: Path, number: int, user: int, group: int) -> None:
    (proc / str(number)).mkdir()
    lines = ["Name:\tbash", f"Uid:\t{user}\t{user}\t{user}\t{user}", f"Gid:\t{group}\t{group}\t{group}\t{group}"]
    (proc / str(number) / "status").write_text("\n".join([*lines, "Threads:\t1"]) + "\n")


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Two builds with three processes, and others that are none."""
    proc = tmp_path / "proc"
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text(f"{BOOT_ID}\n")
    (proc / "cmdline").write_text("quiet nixmetal.image=abc-lab-image console=ttyS0\n")
    for number, (user, group) in enumerate([(0, 0), (30001, 30000), (30001, 30000), (30002, 30000), (1000, 1000)], 1):
        process(proc, number, user, group)
    (proc / "6").mkdir()
    (tmp_path / "group").write_text("root:x:0:\nnixbld:x:30000:nixbld1,nixbld2\n")
    return {"NIXMETAL_PROC": str(proc), "NIXMETAL_GROUP_FILE": str(tmp_path / "group")}


def facts(machine: dict[str, str], shell: str = "sh", **more: str) -> dict[str, Any]:
    done = run(shell, "facts.sh", machine | more)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("shell", NAMES)
def test_boot_image_and_running_builds(machine: dict[str, str], shell: str) -> None:
    assert facts(machine, shell) == {"boot_id": BOOT_ID, "image_id": "abc-lab-image", "jobs": 2, "sessions": 0}


@pytest.mark.parametrize("shell", NAMES)
def test_connections_of_nix_are_counted(machine: dict[str, str], shell: str) -> None:
    proc = Path(machine["NIXMETAL_PROC"])
    lines = {
        1: ["/nix/store/x-nix-2.26/bin/nix-store", "--serve", "--write"],
        2: ["nix-daemon", "--stdio"],
        3: ["sh", "-c", "nix-store --serve --write"],
        4: ["nix-daemon"],
        5: [],
    }
    for number, words in lines.items():
        (proc / str(number) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    assert facts(machine, shell)["sessions"] == 2


def test_who_sees_no_other_users_processes_knows_of_no_jobs(machine: dict[str, str]) -> None:
    """As with hidepid: what cannot be seen is not nothing."""
    (Path(machine["NIXMETAL_PROC"]) / "1/status").unlink()
    told = facts(machine)
    assert (told["jobs"], told["sessions"]) == (None, None)


def test_an_idle_machine_runs_no_build(machine: dict[str, str]) -> None:
    for number in (2, 3, 4):
        (Path(machine["NIXMETAL_PROC"]) / str(number) / "status").unlink()
    assert facts(machine)["jobs"] == 0


def test_what_is_not_known_is_null(machine: dict[str, str]) -> None:
    (Path(machine["NIXMETAL_PROC"]) / "cmdline").write_text("quiet\n")
    told = facts(machine, NIXMETAL_BUILD_GROUP="builders")
    assert told == {"boot_id": BOOT_ID, "image_id": None, "jobs": None, "sessions": 0}


def test_an_image_id_cannot_break_out_of_the_answer(machine: dict[str, str]) -> None:
    (Path(machine["NIXMETAL_PROC"]) / "cmdline").write_text('nixmetal.image=a","jobs":0,"b":"\n')
    assert facts(machine)["image_id"] is None


def test_what_the_client_asks_for_makes_no_difference(machine: dict[str, str], tmp_path: Path) -> None:
    asked = f"touch {tmp_path / 'made'}; $(touch {tmp_path / 'made'})"
    assert facts(machine, SSH_ORIGINAL_COMMAND=asked)["jobs"] == 2
    assert not (tmp_path / "made").exists()


@pytest.fixture
def nix(tmp_path: Path) -> dict[str, str]:
    """A Nix that says how it was called."""
    for name in ("nix-daemon", "nix-store"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize("shell", NAMES)
@pytest.mark.parametrize("command", ["nix-daemon --stdio", "nix-store --serve --write"])
def test_a_build_key_serves_nix(nix: dict[str, str], shell: str, command: str) -> None:
    assert run(shell, "build-command.sh", nix | {"SSH_ORIGINAL_COMMAND": command}).stdout == f"{command}\n"


@pytest.mark.parametrize(
    "command",
    ["", "sh", "nix-store --serve --write; sh", "nix-daemon --stdio --store /", "nix-store --delete /nix/store/x"],
)
def test_a_build_key_does_nothing_else(nix: dict[str, str], command: str) -> None:
    done = run("sh", "build-command.sh", nix | {"SSH_ORIGINAL_COMMAND": command})
    assert (done.returncode, done.stdout) == (1, "")
    assert "builds for Nix and does nothing else" in done.stderr
