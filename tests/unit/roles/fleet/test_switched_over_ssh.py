# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What provider ssh_host runs on a machine outlives the terminal that Ansible asks for, however slowly the machine starts programs."""

from __future__ import annotations

import os
import pty
import shutil
import time
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
DEFAULTS = yaml.safe_load((CHECKOUT / "roles/ssh_host/defaults/main.yml").read_text(encoding="utf-8"))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A systemctl that writes down what it was asked for, and programs around it that are slow to start."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "systemctl").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n', encoding="utf-8")
    for name in ("nohup", "setsid"):
        real = shutil.which(name)
        (folder / name).write_text(f'#!/bin/sh\n/bin/sleep 0.5\nexec {real} "$@"\n', encoding="utf-8")
    for script in folder.iterdir():
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize("verb", ["reboot", "power_off"])
def test_the_end_of_the_connection_does_not_end_it(tmp_path: Path, programs: Path, verb: str) -> None:
    command = DEFAULTS[f"ssh_host_{verb}_command"]
    child, terminal = pty.fork()
    if child == 0:
        path = f"{programs}:{os.environ['PATH']}"
        os.execve("/bin/sh", ["sh", "-c", command], {**os.environ, "PATH": path})  # noqa: S606  (it is the shell)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    asked = tmp_path / "asked"
    deadline = time.monotonic() + 20
    while not asked.exists() or not asked.read_text():
        assert time.monotonic() < deadline, f"{command} was not done"
        time.sleep(0.1)
    assert asked.read_text() == f"{verb.replace('_', '')}\n"
