# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nix_build as a playbook runs it: lines while it builds, silence when nobody asked, and a build that outlives its Ansible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

CHECKOUT = Path(__file__).resolve().parents[4]
EXPRESSION = """
{ busybox, script }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  make = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" script ];
  };
in
make "roof-2.0" "echo ${make "wall-1.0" "echo >$out"} >$out; ${script}"
"""


def command(tmp_path: Path, nix: RealNix, *options: str, **arguments: object) -> list[str]:
    task = {
        "name": "Build",
        "nixmetal.builders.nix_build": {
            "expression": EXPRESSION,
            "options": {"sandbox": False, "build-users-group": "", "substituters": [], **nix.settings},
            **arguments,
        },
        "register": "built",
    }
    keep = {"name": "Show", "ansible.builtin.debug": {"var": "built.built"}}
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task, keep]}]))
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"builder": host}}}))
    playbook = str(CHECKOUT / ".venv/bin/ansible-playbook")
    return [playbook, "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.json"), *options]


def environment(nix: RealNix, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        **nix.environment,
        "HOME": str(tmp_path),
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        # What is shown is read while the play runs; into a file Ansible else writes in blocks.
        "PYTHONUNBUFFERED": "1",
    }


def play(tmp_path: Path, nix: RealNix, *options: str, **arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        command(tmp_path, nix, *options, **arguments),
        cwd=CHECKOUT, env=environment(nix, tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def arguments(nix: RealNix, script: str) -> dict[str, object]:
    return {"args": {"busybox": nix.busybox, "script": script}}


def test_lines_are_shown_when_asked_for_and_the_result_is_the_module_s(real_nix: RealNix, tmp_path: Path) -> None:
    code, output = play(tmp_path, real_nix, progress=1, **arguments(real_nix, "sleep 5"))
    assert code == 0, output
    assert "builder: 1 of 2 built, roof-2.0 (" in output
    assert "-wall-1.0.drv" in output
    assert "changed=1" in output
    code, output = play(tmp_path, real_nix, progress=1, **arguments(real_nix, "sleep 5"))
    assert (code, "changed=0" in output, "of 2 built" in output) == (0, True, False), output


def test_nobody_is_told_without_asking(real_nix: RealNix, tmp_path: Path) -> None:
    code, output = play(tmp_path, real_nix, **arguments(real_nix, "sleep 3"))
    assert (code, "changed=1" in output) == (0, True), output
    assert "builder: " not in output.replace("ok: [builder]", "")
    assert not (tmp_path / ".ansible/nixmetal-builds").exists()


def test_check_mode_goes_the_direct_way(real_nix: RealNix, tmp_path: Path) -> None:
    code, output = play(tmp_path, real_nix, "--check", "--diff", progress=1, **arguments(real_nix, ":"))
    assert code == 0, output
    assert "to be built:" in output
    assert not (tmp_path / ".ansible/nixmetal-builds").exists()


def test_a_failure_is_told_as_without_progress(real_nix: RealNix, tmp_path: Path) -> None:
    code, output = play(tmp_path, real_nix, progress=1, **arguments(real_nix, "echo it leaks; exit 3"))
    assert code != 0
    assert "it leaks" in output
    assert "Last lines of its log" in output


def test_what_is_no_number_of_seconds_is_refused(real_nix: RealNix, tmp_path: Path) -> None:
    code, output = play(tmp_path, real_nix, progress="often", **arguments(real_nix, ":"))
    assert code != 0
    assert "progress is 'often', not a number of seconds" in output


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_next_run_follows_the_build_that_a_killed_ansible_left(
    real_nix: RealNix, tmp_path: Path, end: signal.Signals
) -> None:
    wanted = arguments(real_nix, f"echo >>{tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 1; done")
    first = begin(tmp_path, real_nix, "first", **wanted)
    try:
        until((tmp_path / "begun").exists)
        os.killpg(first.pid, end)
        first.wait(30)
        second = begin(tmp_path, real_nix, "second", **wanted)
        followed = "this build runs already, begun by an earlier run: following it"
        until(lambda: followed in (tmp_path / "second").read_text())
    finally:
        (tmp_path / "go").touch()  # nothing goes on when this test has failed
    assert second.wait(60) == 0
    assert "-roof-2.0.drv" in (tmp_path / "second").read_text()
    assert (tmp_path / "begun").read_text() == "\n", "it was begun twice"


def begin(tmp_path: Path, nix: RealNix, log: str, **wanted: object) -> subprocess.Popen[bytes]:
    with (tmp_path / log).open("wb") as output:
        return subprocess.Popen(
            command(tmp_path, nix, progress=1, **wanted),
            cwd=CHECKOUT, env=environment(nix, tmp_path), stdout=output, start_new_session=True,
        )  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
