# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each way in which a build can fail has words of its own, and the next run goes on from there. With a real Nix."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request, Result

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

# A wall that can be built, and a roof on it that fails as long as a file is there.
EXPRESSION = """
{ busybox, script, trouble, hash ? null }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  make = name: script: more: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" script ];
  } // more);
  wall = make "wall" "echo >>${trouble}.walls; echo >$out" { };
  fixed = if hash == null then { } else { outputHash = hash; outputHashAlgo = "sha256"; outputHashMode = "flat"; };
in
make "roof" "echo ${wall}; if [ -e ${trouble} ]; then ${script}; fi; echo roof >$out" fixed
"""


class House:
    """The same expression, built until it stands."""

    def __init__(self, real_nix: RealNix, tmp_path: Path) -> None:
        self._nix = real_nix
        self.trouble = tmp_path / "trouble"
        self.trouble.touch()

    def build(self, script: str = ":", settings: dict[str, Any] | None = None, **more: Any) -> Result:
        args = {"busybox": self._nix.busybox, "script": script, "trouble": str(self.trouble), **more}
        return build(self._nix.nix(**(settings or {})), Request(Source(expression=EXPRESSION, args=args)))

    def fails(self, script: str = ":", **more: Any) -> str:
        with pytest.raises(NixError) as caught:
            self.build(script, **more)
        return str(caught.value)

    def goes_on(self, script: str = ":", **more: Any) -> None:
        """Once the trouble is over, the roof alone is built."""
        self.trouble.unlink()
        done = self.build(script, **more)
        assert [path.rpartition("-")[2] for path in done.built] == ["roof.drv"]
        assert (self.trouble.parent / "trouble.walls").read_text() == "\n"


@pytest.fixture
def house(real_nix: RealNix, tmp_path: Path) -> House:
    return House(real_nix, tmp_path)


def test_a_build_that_fails_has_its_own_last_words(house: House) -> None:
    said = house.fails("echo it leaks; exit 3")
    assert "failed with exit code 3" in said
    assert said.endswith("it leaks")
    house.goes_on("echo it leaks; exit 3")


def test_a_killed_builder_is_told_from_one_that_failed(house: House) -> None:
    said = house.fails("kill -9 $$")
    assert "signal 9" in said
    assert "ran out of memory" in said
    house.goes_on("kill -9 $$")


def test_a_killed_nix_is_told_from_a_failed_build(house: House) -> None:
    script = "kill -9 $PPID; sleep 1"
    said = house.fails(script)
    assert "Nix itself was killed by signal 9" in said
    assert "a next run goes on from there" in said
    house.goes_on(script)


def test_a_wrong_hash_shows_both_and_what_to_do(house: House) -> None:
    house.trouble.unlink()
    said = house.fails(hash="0" * 64)
    assert "hash mismatch in fixed-output derivation" in said
    assert "specified" in said
    assert "got:" in said
    assert "put the hash that it got into the expression" in said
    right = next(line.partition("got:")[2].strip() for line in said.splitlines() if "got:" in line)
    done = house.build(hash=right)
    assert Path(str(done.out_path)).read_text() == "roof\n"


def test_a_lost_builder_is_named_and_the_next_run_goes_on(house: House, real_nix: RealNix, tmp_path: Path) -> None:
    ssh = tmp_path / "programs/ssh"
    ssh.parent.mkdir(exist_ok=True)
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host gone: No route to host' >&2; exit 255\n")
    ssh.chmod(0o755)
    real_nix.environment["PATH"] = f"{ssh.parent}:{real_nix.environment['PATH']}"
    row = "ssh://build@gone x86_64-linux - 1 1 - - -"
    said = house.fails(settings={"max_jobs": 0, "builders": row})
    assert "No route to host" in said or "build@gone" in said
    assert "No builder took it" in said or "'max_jobs', 'builders'" in said
    house.trouble.unlink()
    assert len(house.build().built) == 2


@pytest.fixture
def small_store(real_nix: RealNix) -> Iterator[Path]:
    """The store on a file system of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system for the store")
    place = Path(real_nix.environment["NIX_STORE_DIR"])
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0755", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_store_is_named_with_its_remedy(house: House, small_store: Path) -> None:
    script = "dd if=/dev/zero of=$out bs=1M count=20"
    said = house.fails(script)
    assert "No space left on device" in said
    assert "no space left on" in said
    assert "nix-collect-garbage" in said
    house.goes_on(script)


def test_an_evaluation_that_fails_has_no_trace(house: House) -> None:
    said = house.fails(unknown=1)
    assert "Evaluation of the expression failed on" in said
    assert "unexpected argument 'unknown'" in said
    assert "while calling" not in said
