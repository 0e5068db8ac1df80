# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build goes on when the connections to its host break, and its playbook with it."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

from lab_driver import Built, Lab, Played

TASK = {
    "name": "Build",
    "nixmetal.builders.nix_build": {
        "expression": (
            '{ seconds, salt }: derivation { name = "slow"; system = "x86_64-linux"; builder = "/bin/sh"; inherit salt;'
            ' args = [ "-c" "/bin/sleep ${toString seconds}; echo >$out" ]; }'
        ),
        "args": {"seconds": 16, "salt": "{{ salt }}"},
        "progress": 2,
    },
}


def test_a_build_outlives_broken_connections(lab: Lab, built: Built, tmp_path: Path) -> None:
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "lab-build", "gather_facts": False, "tasks": [TASK]}]))
    ran: list[Played] = []
    arguments = ("-i", str(lab.inventory), str(tmp_path / "play.json"), "-e", f"salt={time.time_ns()}")
    playing = threading.Thread(target=lambda: ran.append(lab._ansible("ansible-playbook", *arguments)))
    playing.start()
    wait_for_the_build(lab)
    time.sleep(3)
    # Every session on that host but this one.
    killed = lab.build_host(
        "for pid in $(pgrep -f '^sshd: root@notty'); do [ $pid = $PPID ] || { kill -9 $pid && echo $pid; }; done"
    )
    assert killed.stdout
    playing.join(120)
    [run] = ran
    assert run.succeeded().changed["lab-build"] == 1
    seconds = [int(found) for found in re.findall(r"lab-build: 0 of 1 built, slow \((\d+) s\)", run.output)]
    # The same build before and after.
    assert seconds == sorted(seconds)
    assert max(seconds) > 10 > min(seconds)


def wait_for_the_build(lab: Lab) -> None:
    deadline = time.monotonic() + 60
    while lab.build_host("pgrep -f 'sleep 16'", check=False).returncode:
        assert time.monotonic() < deadline, "the build did not begin"
        time.sleep(0.5)
