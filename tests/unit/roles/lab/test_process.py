# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process of the lab is started once, ended surely, and never mistaken for another one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SLEEPER = ["sleep", "300"]


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    import lab_process

    path = tmp_path / "host-web.json"
    yield path
    lab_process.stop(path)


@pytest.fixture
def start(record: Path, tmp_path: Path) -> Callable[..., bool]:
    import lab_process

    def _start(command: list[str], **order: Any) -> bool:
        return lab_process.start(record, tmp_path / "log", command, lab_process.Order(**order))

    return _start


def pid_of(record: Path) -> int:
    return int(json.loads(record.read_text())["pid"])


def test_started_once(record: Path, start: Callable[..., bool]) -> None:
    assert start(SLEEPER) is True
    first = pid_of(record)
    assert start(SLEEPER) is False
    assert pid_of(record) == first


@pytest.mark.parametrize(("command", "mark"), [(["sleep", "301"], ""), (SLEEPER, "new")])
def test_another_command_or_fingerprint_replaces_it(
    record: Path, start: Callable[..., bool], command: list[str], mark: str
) -> None:
    import lab_process

    start(SLEEPER)
    before = json.loads(record.read_text())
    assert start(command, fingerprint=mark) is True
    assert not lab_process.is_alive(before)


def test_stop_ends_it_and_a_second_stop_does_nothing(record: Path, start: Callable[..., bool]) -> None:
    import lab_process

    start(SLEEPER)
    held = json.loads(record.read_text())
    assert lab_process.stop(record) is True
    assert not lab_process.is_alive(held)
    assert lab_process.stop(record) is False


def test_a_process_that_ignores_the_request_is_killed(record: Path, start: Callable[..., bool]) -> None:
    import lab_process

    start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], ready_in_log="ready", stop_seconds=0.2)
    held = json.loads(record.read_text())
    lab_process.stop(record)
    assert not lab_process.is_alive(held)


@pytest.mark.parametrize("change", [{"start_time": 1}, {"boot_id": "another boot"}])
def test_a_number_that_is_somebody_elses_now_is_left_alone(
    record: Path, start: Callable[..., bool], change: dict[str, Any]
) -> None:
    import lab_process

    with subprocess.Popen(SLEEPER) as stranger:
        held = {
            "pid": stranger.pid,
            "start_time": lab_process.start_time(stranger.pid),
            "boot_id": lab_process.boot_id(),
        }
        record.write_text(json.dumps({**held, **change, "fingerprint": "", "stop_seconds": 0}))
        try:
            assert lab_process.stop(record) is False
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_one_that_ends_at_once_is_told_with_its_own_words(record: Path, start: Callable[..., bool]) -> None:
    with pytest.raises(SystemExit, match=r"(?s)host-web ended with status 3.*address in use"):
        start(["sh", "-c", "echo address in use; exit 3"])
    assert not record.exists()


def test_one_that_is_never_ready_is_ended_and_told(record: Path, start: Callable[..., bool]) -> None:
    with pytest.raises(SystemExit, match="host-web was not ready after"):
        start(SLEEPER, ready_in_log="ready", start_seconds=0.2)
    assert not record.exists()


def test_what_an_earlier_run_logged_is_no_sign(record: Path, start: Callable[..., bool], tmp_path: Path) -> None:
    (tmp_path / "log").write_text("ready\n")
    with pytest.raises(SystemExit, match="was not ready"):
        start(SLEEPER, ready_in_log="ready", start_seconds=0.2)


def test_the_command_stands_behind_the_dashes(tmp_path: Path) -> None:
    program = Path(__file__).resolve().parents[4] / "roles/lab/files/lab_process.py"
    record = tmp_path / "cloud.json"
    own = [sys.executable, str(program)]
    started = subprocess.run(
        [*own, "start", "--record", str(record), "--log", str(tmp_path / "log"), "--", *SLEEPER],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(started.stdout) == {"changed": True}
    stopped = subprocess.run([*own, "stop", "--record", str(record)], check=True, capture_output=True, text=True)
    assert json.loads(stopped.stdout) == {"changed": True}
