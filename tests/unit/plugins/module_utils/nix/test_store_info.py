# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a store, with a real Nix."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import store
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.command import Nix
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.store_info import all_roots, gather

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

EXPRESSION = """
{ busybox }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  make = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" script ];
  };
in
make "top" "mkdir $out; echo ${make "below" "head -c 5000 /dev/zero >$out"} >$out/file"
"""


def test_sizes_closures_and_roots(real_nix: RealNix, tmp_path: Path) -> None:
    link = str(tmp_path / "kept")
    request = Request(Source(expression=EXPRESSION, args={"busybox": real_nix.busybox}), out_link=link)
    top = str(build(real_nix.nix(), request).out_path)
    absent = f"{os.path.dirname(top)}/{'a' * 32}-absent"
    facts = gather(real_nix.nix(), [link, f"{top}/file", absent], closures=True, roots=True)
    kept, inside, gone = facts["paths"]
    assert (kept["path"], inside["path"], gone) == (top, top, {"name": absent, "path": absent, "valid": False})
    sizes = {store.name_of(each["path"]): each["size"] for each in kept["closure"]}
    # As an archive a file of 5000 zeros takes 112 bytes more.
    assert sizes == {"below": 5112, "top": kept["size"]}
    assert kept["closure_size"] == sum(sizes.values())
    assert (kept["closure_count"], len(kept["references"])) == (2, 1)
    assert kept["hash"].startswith("sha256:")
    assert store.name_of(kept["deriver"]) == "top.drv"
    assert {"root": link, "path": top} in facts["roots"]
    assert facts["store_directory"] == os.path.dirname(top)
    assert 0 < facts["free_bytes"] <= facts["total_bytes"]
    assert facts["nix_version"][0] == "2"


def test_what_is_not_asked_for_is_not_told(real_nix: RealNix) -> None:
    real_nix.nix().run("nix-store", "--init")
    facts = gather(real_nix.nix(), [], closures=False, roots=False)
    assert (facts["paths"], facts["roots"]) == ([], [])


def test_what_came_without_a_derivation_has_no_deriver(real_nix: RealNix) -> None:
    top = build(real_nix.nix(), Request(Source(expression=EXPRESSION, args={"busybox": real_nix.busybox})))
    [static] = [
        path for path in store.query(real_nix.nix(), "--requisites", [str(top.derivation)]) if path.endswith("-static")
    ]
    [facts] = gather(real_nix.nix(), [static], closures=False, roots=False)["paths"]
    assert (facts["deriver"], facts["references"], "closure" in facts) == (None, [], False)


def test_roots_are_named_as_they_are_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "nix-store").write_text(
        """#!/bin/sh
echo '/old/result -> /nix/store/a'
echo '"/new/a \\"b\\" -> c" -> /nix/store/b'
echo 'removing stale link'
"""
    )
    (tmp_path / "nix-store").chmod(0o755)
    assert all_roots(Nix({}, {"PATH": f"{tmp_path}:/bin"})) == [
        {"root": "/old/result", "path": "/nix/store/a"},
        {"root": '/new/a "b" -> c', "path": "/nix/store/b"},
    ]


def test_what_only_root_may_use_is_not_free(real_nix: RealNix, monkeypatch: pytest.MonkeyPatch) -> None:
    real_nix.nix().run("nix-store", "--init")
    room = {
        "f_frsize": 4096,
        "f_bsize": 512,
        "f_blocks": 1000,
        "f_bfree": 300,
        "f_bavail": 200,
        "f_ffree": 90,
        "f_favail": 80,
    }
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(**room))
    facts = gather(real_nix.nix(), [], closures=False, roots=False)
    assert (facts["free_bytes"], facts["total_bytes"], facts["free_inodes"]) == (200 * 4096, 1000 * 4096, 80)


def test_what_leads_nowhere_is_refused(real_nix: RealNix, tmp_path: Path) -> None:
    real_nix.nix().run("nix-store", "--init")
    with pytest.raises(NixError, match="neither is in the store"):
        gather(real_nix.nix(), [str(tmp_path)], closures=False, roots=False)
