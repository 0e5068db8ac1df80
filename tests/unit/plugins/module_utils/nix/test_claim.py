# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who builds what: the same thing is built once at a time, and never is an older thing taken for it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import build_job
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.arguments import BUILD
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.claim import (
    CLAIMS,
    _take,
    claim,
    key_of,
    sweep,
)
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.job import Job

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

DERIVATION = "/nix/store/00000000000000000000000000000000-thing.drv"
# Waits at a gate that the test opens, and tells how often it was begun.
EXPRESSION = """
let
  static = builtins.path {{ name = "static"; path = /. + dirOf "{busybox}"; filter = path: _: baseNameOf path == "busybox"; }};
in
derivation {{
  name = "thing";
  system = builtins.currentSystem;
  builder = "${{static}}/busybox";
  args = [ "sh" "-euc" "echo >>{place}/begun; until [ -e {place}/{gate} ]; do sleep 0.1; done; echo {word} >$out" ];
}}
"""

TWO_OUTPUTS = """
let
  static = builtins.path {{ name = "static"; path = /. + dirOf "{busybox}"; filter = path: _: baseNameOf path == "busybox"; }};
in
{{
  thing = derivation {{
    name = "thing";
    outputs = [ "out" "dev" ];
    system = builtins.currentSystem;
    builder = "${{static}}/busybox";
    args = [ "sh" "-euc" "echo >>{place}/begun; until [ -e {place}/open ]; do sleep 0.1; done; echo out >$out; echo dev >$dev" ];
  }};
}}
"""


class Host:
    """Where nix_build_job runs, by an expression in a file."""

    def __init__(self, nix: RealNix, place: Path) -> None:
        self._nix = nix
        self._place = place
        self.file = place / "default.nix"
        self._settings = {"sandbox": False, "build-users-group": "", "substituters": [], **nix.settings}

    def write(self, word: str, gate: str = "open") -> None:
        self.file.write_text(EXPRESSION.format(busybox=self._nix.busybox, place=self._place, word=word, gate=gate))

    def step(self, operation: str, run: str, seconds: float = 0.0, **options: Any) -> dict[str, Any]:
        build = {"file": str(self.file), "options": self._settings, **options}
        checked = ArgumentSpecValidator(BUILD).validate(build).validated_parameters
        return build_job.step({"operation": operation, "run": run, "seconds": seconds, "lease": 60, "build": checked})

    def begun(self, times: int) -> None:
        begun = self._place / "begun"
        until(lambda: begun.exists() and len(begun.read_text()) == times)

    def open(self, gate: str = "open") -> None:
        (self._place / gate).touch()


@pytest.fixture
def host(real_nix: RealNix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name, value in real_nix.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(build_job, "BASE", str(tmp_path / "builds"))
    host = Host(real_nix, tmp_path)
    host.write("first")
    yield host
    host.open()
    host.open("later")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def text(answer: dict[str, Any]) -> str:
    return Path(answer["outcome"]["out_path"]).read_text()


def test_the_same_build_is_followed(host: Host) -> None:
    host.step("start", "a")
    host.begun(1)
    host.step("start", "b")
    until(lambda: bool(host.step("wait", "b")["attached"]))
    host.open()
    for run, attached in (("a", False), ("b", True)):
        answer = host.step("wait", run, 30)
        assert (answer["attached"], answer["outcome"]["changed"], text(answer)) == (attached, True, "first\n")
    host.begun(1)


def test_a_file_that_has_changed_is_another_build(host: Host) -> None:
    host.step("start", "a")
    host.begun(1)
    host.write("second", gate="later")
    host.step("start", "b")
    host.begun(2)
    host.open("later")
    answer = host.step("wait", "b", 30)
    assert (answer["attached"], text(answer)) == (False, "second\n")
    host.open()
    assert text(host.step("wait", "a", 30)) == "first\n"


def test_a_run_that_comes_while_the_last_one_is_ended_builds_itself(host: Host, tmp_path: Path) -> None:
    host.step("start", "a")
    host.begun(1)
    host.step("stop", "a")
    until((tmp_path / "builds/a/ending").exists)
    host.step("start", "b")
    host.begun(2)
    host.open()
    answer = host.step("wait", "b", 30)
    assert (answer["attached"], text(answer)) == (False, "first\n")
    assert "told to stop" in host.step("wait", "a", 30)["outcome"]["msg"]


def test_the_next_run_says_how_one_ended_that_nobody_saw_end(host: Host, tmp_path: Path) -> None:
    host.step("start", "a")
    host.begun(1)
    host.step("stop", "a")
    until((tmp_path / "builds/a/outcome").exists)
    host.open()
    assert "told to stop" in host.step("start", "b", 30)["left"]
    assert host.step("start", "c", 30)["left"] == ""


def test_settings_and_what_nix_hears_make_another_build() -> None:
    options = {"file": "/x", "args": {"a": 1}, "cores": 2, "out_link": None, "progress": 5}
    hears = {"NIX_SSHOPTS": "-p 22", "PATH": "/bin"}
    key = key_of("here", DERIVATION, options, hears)
    # What the derivation's path stands for already, and what Nix does not hear.
    same = {**options, "file": "/y", "args": {}, "progress": 9}
    assert key_of("here", DERIVATION, same, {**hears, "PATH": "/usr/bin"}) == key
    assert key not in {
        key_of("there", DERIVATION, options, hears),
        key_of("here", f"{DERIVATION} /nix/store/x-dev", options, hears),
        key_of("here", DERIVATION, {**options, "cores": 3}, hears),
        key_of("here", DERIVATION, {**options, "out_link": "/x"}, hears),
        key_of("here", DERIVATION, options, {"NIX_SSHOPTS": "-p 23"}),
    }


def test_another_output_is_another_build(host: Host, real_nix: RealNix, tmp_path: Path) -> None:
    host.file.write_text(TWO_OUTPUTS.format(busybox=real_nix.busybox, place=tmp_path))
    host.step("start", "a", attr="thing")
    host.begun(1)
    host.step("start", "b", attr="thing.dev")
    assert not host.step("wait", "b", 1)["attached"]
    host.open()
    assert text(host.step("wait", "a", 30)) == "out\n"
    assert text(host.step("wait", "b", 30)) == "dev\n"


def test_a_wait_that_nobody_wants_any_more_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a claim whose holder cannot be followed: it is about to end, or has only just begun."""
    (tmp_path / CLAIMS).mkdir()
    waited = iter(range(3))
    monkeypatch.setattr("time.sleep", lambda _seconds: next(waited))

    def go_on() -> None:
        raise NixError("enough")

    with (tmp_path / CLAIMS / "key").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NixError, match="enough"):
            claim(Job(str(tmp_path), "a", "here"), "key", go_on)


@pytest.mark.parametrize("again", [False, True])
def test_a_claim_that_is_swept_away_while_it_is_taken_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    path, lock = tmp_path / "key", fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        path.unlink()
        if again:
            path.touch()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert _take(str(path)) is None


def test_old_claims_are_swept(host: Host, tmp_path: Path) -> None:
    host.open()
    host.step("start", "a", 30)
    [file] = (tmp_path / "builds" / CLAIMS).iterdir()
    sweep(str(tmp_path / "builds"))
    assert file.exists()
    os.utime(file, (time.time() - 90_000,) * 2)

    def swept() -> bool:
        sweep(str(tmp_path / "builds"))
        return not file.exists()

    until(swept)  # the job lets go of it after it has told how it ended
    assert host.step("start", "b", 30)["outcome"]["changed"] is False


def test_a_claim_that_is_held_is_never_swept(host: Host, tmp_path: Path) -> None:
    host.step("start", "a")
    host.begun(1)
    [file] = (tmp_path / "builds" / CLAIMS).iterdir()
    os.utime(file, (time.time() - 90_000,) * 2)
    host.step("start", "b")
    until(lambda: bool(host.step("wait", "b")["attached"]))
    host.open()
    assert text(host.step("wait", "b", 30)) == "first\n"
    host.begun(1)
