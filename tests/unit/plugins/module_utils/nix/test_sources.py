# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an expression finds nixpkgs, and what is built in spite of a failure. With a real Nix."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import store
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

PINNED = """
{ busybox, script }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  make = name: text: more: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" text ];
  } // more);
in
make "thing" script { passAsFile = [ "value" ]; value = "x"; good = make "good" "sleep 2; echo >$out" { }; bad = make "bad" "exit 1" { }; }
"""


@pytest.mark.parametrize("as_tarball", [False, True])
def test_nixpkgs_is_a_directory_or_a_pinned_archive(real_nix: RealNix, tmp_path: Path, as_tarball: bool) -> None:
    nixpkgs = tmp_path / "nixpkgs"
    nixpkgs.mkdir()
    (nixpkgs / "default.nix").write_text(
        '{ system }: derivation { name = "pinned"; inherit system; builder = "/bin/sh"; }'
    )
    where = str(nixpkgs)
    if as_tarball:
        with tarfile.open(tmp_path / "pin.tar.gz", "w:gz") as archive:
            archive.add(nixpkgs, "nixpkgs-0123abcd")
        where = f"file://{tmp_path}/pin.tar.gz"
    source = Source(
        expression="args: import <nixpkgs> args", args={"system": "x86_64-linux"}, search_path={"nixpkgs": where}
    )
    foretold = build(real_nix.nix(), Request(source, evaluate_only=True), check_mode=True)
    done = build(real_nix.nix(), Request(source, evaluate_only=True))
    assert (done.derivation, done.changed) == (foretold.derivation, True)
    assert store.name_of(str(done.derivation)) == "pinned.drv"


@pytest.mark.parametrize("keep_going", [False, True])
def test_what_does_not_depend_on_a_failure_is_built_when_wanted(real_nix: RealNix, keep_going: bool) -> None:
    source = Source(expression=PINNED, args={"busybox": real_nix.busybox, "script": "echo >$out"})
    nix = real_nix.nix(keep_going=keep_going or None)
    with pytest.raises(NixError) as caught:
        build(nix, Request(source))
    assert [store.name_of(path) for path in caught.value.details["failed_derivations"]] == ["bad.drv"]
    derivation = build(nix, Request(source, evaluate_only=True)).derivation
    [good] = [path for path in store.query(nix, "--requisites", [str(derivation)]) if path.endswith("-good.drv")]
    assert store.is_valid(nix, store.outputs(nix, good)["out"]) is keep_going
