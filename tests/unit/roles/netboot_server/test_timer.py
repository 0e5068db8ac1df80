# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The timer of role netboot_server in check mode, where it was never installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path("/etc/systemd/system")
PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [{"import_role": {"name": "nixmetal.builders.netboot_server", "tasks_from": "timer"}}],
    }
]


@pytest.mark.skipif(
    not UNITS.is_dir() or (UNITS / "netboot-certificate.timer").exists(),
    reason="this machine has no place for units, or has the timer",
)
def test_the_first_check_starts_no_timer_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "play.json").write_text(json.dumps(PLAY))
    # As on a host with systemd, whatever this one has.
    given = {"netboot_server__systemd": {"stat": {"exists": True}}, "ansible_python_interpreter": sys.executable}
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "--check"]
    done = subprocess.run(
        [*command, str(tmp_path / "play.json"), "-e", json.dumps(given)],
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(tmp_path / "ansible")},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=1" in done.stdout
    assert "skipped=1" in done.stdout
    assert not (UNITS / "netboot-certificate.timer").exists()
