# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store belongs to a daemon, as on most hosts with several users: a real one, with a store and a socket of its own."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import arguments
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.build_progress import BuildProgress
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.forecast import Target
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.store_info import all_roots, gather

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

CONFIGURATION = """sandbox = false
build-users-group =
substituters =
trusted-users = {trusted}
"""
EXPRESSION = """
{ busybox, script }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
in
derivation { name = "thing"; system = builtins.currentSystem; builder = "${static}/busybox"; args = [ "sh" "-euc" script ]; }
"""


class Daemon:
    """A host on which Nix is a daemon's; this process only has its socket."""

    def __init__(self, nix: RealNix, place: Path) -> None:
        self._nix = nix
        self.place = place
        self.url = f"unix://{place}/socket"
        # Its own state directory is empty: whatever is found comes from the daemon.
        own = {
            name: str(place / "client" / name)
            for name in ("NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_CONF_DIR", "NIX_LOCALSTATE_DIR")
        }
        self.environment = {**nix.environment, **own, "NIX_REMOTE": self.url}

    def client(self) -> Nix:
        return Nix({}, self.environment)

    def wanted(self, script: str) -> Request:
        source = Source(expression=EXPRESSION, args={"busybox": self._nix.busybox, "script": script})
        return Request(source, out_link=str(self.place / "result"), target=Target(self.url))


@pytest.fixture(params=["root", pytest.param("nobody-else", marks=pytest.mark.long)], ids=["trusted", "not-trusted"])
def daemon(request: pytest.FixtureRequest, real_nix: RealNix, tmp_path: Path) -> Iterator[Daemon]:
    configuration = Path(real_nix.environment["NIX_CONF_DIR"])
    configuration.mkdir(parents=True)
    (configuration / "nix.conf").write_text(CONFIGURATION.format(trusted=request.param))
    # Left to itself, it would look for a daemon where there is no store yet.
    environment = {**real_nix.environment, "NIX_REMOTE": "local", "NIX_DAEMON_SOCKET_PATH": str(tmp_path / "socket")}
    if real_nix.settings:  # not in the file: 2.26 does not heed it there
        environment["NIX_CONFIG"] = f"build-hook = {real_nix.settings['build-hook']}"
    with (tmp_path / "daemon.log").open("w") as log:
        process = subprocess.Popen(["nix-daemon"], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "socket").exists():
            assert time.monotonic() < deadline, (tmp_path / "daemon.log").read_text()
            time.sleep(0.05)
        yield Daemon(real_nix, tmp_path)
    finally:
        process.terminate()
        process.wait()


def test_a_build_through_a_daemon_is_foretold_done_and_done_once(daemon: Daemon) -> None:
    foretold = build(daemon.client(), daemon.wanted("echo 1 >$out"), check_mode=True)
    assert [path.rpartition("-")[2] for path in foretold.built] == ["thing.drv"]
    assert not Path(str(foretold.derivation)).exists()
    progress = BuildProgress()
    done = build(Nix({}, daemon.environment, progress.take), daemon.wanted("echo 1 >$out"))
    assert (done.changed, done.built, done.out_path) == (True, foretold.built, foretold.out_path)
    assert (progress.shown()["built"], progress.shown()["to_build"]) == (1, 1)
    again = build(daemon.client(), daemon.wanted("echo 1 >$out"), check_mode=True)
    assert (again.changed, again.closure_size) == (False, done.closure_size)
    assert not build(daemon.client(), dataclasses.replace(daemon.wanted("echo 1 >$out"), rebuild=True)).changed
    other = build(daemon.client(), daemon.wanted("echo something longer >$out"))
    assert [change["name"] for change in other.difference] == ["thing"]


def test_its_failures_have_the_same_words(daemon: Daemon) -> None:
    with pytest.raises(NixError, match=r"(?s)exit code 3.*Last lines of its log:\nit leaks") as caught:
        build(daemon.client(), daemon.wanted("echo it leaks; exit 3"))
    assert [path.rpartition("-")[2] for path in caught.value.details["failed_derivations"]] == ["thing.drv"]
    with pytest.raises(NixError, match="ran out of memory"):
        build(daemon.client(), daemon.wanted("kill -9 $$"))


def test_it_tells_of_its_store(daemon: Daemon) -> None:
    done = build(daemon.client(), daemon.wanted("echo 1 >$out"))
    facts = gather(daemon.client(), [str(done.out_path)], closures=False, roots=True)
    assert facts["paths"][0]["closure_size"] == done.closure_size
    assert str(done.out_path) in {root["path"] for root in facts["roots"]}


def test_a_daemon_that_is_gone_is_named(daemon: Daemon) -> None:
    gone = Nix({}, {**daemon.environment, "NIX_REMOTE": f"unix://{daemon.place}/nothing"})
    with pytest.raises(NixError, match=r"cannot connect to (daemon|socket)(?s:.)*nothing(?s:.)*nix-daemon"):
        build(gone, daemon.wanted("echo 1 >$out"))
    with pytest.raises(NixError, match=r"does not tell its roots(?s:.)*start nix-daemon there"):
        all_roots(gone)


def test_the_store_that_is_asked_in_check_mode_is_the_one_that_nix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"build_host": None, "store": None}
    monkeypatch.setenv("NIX_REMOTE", "unix:///x")
    assert arguments.target(params).url == "unix:///x"
    assert arguments.target({**params, "store": "/y"}).url == "/y"
    monkeypatch.delenv("NIX_REMOTE")
    assert arguments.target(params).url == "auto"


def test_the_store_that_is_asked_in_check_mode_is_the_one_of_the_build_host() -> None:
    ways = {"ssh_key": None, "ssh_known_hosts": "/known", "ssh_config": "none", "ssh_options": []}
    target = arguments.target({"build_host": "ssh://build@host:2222", "store": "/y", **ways})
    assert target.url == "ssh://build@host"
    assert "-p 2222 -o UserKnownHostsFile=/known " in target.environment["NIX_SSHOPTS"]
