# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies between two stores of a real Nix; only ssh is a stand-in, which runs on this machine what it was to run on the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import store
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.copying import Copied, copy
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.ssh import Peer

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

PEER = Peer("ssh://build@other")
SSH = """#!/bin/sh
echo "$*" >>'{log}'
while [ "${{1%% *}}" != nix-store ]; do
  case "$*" in *nix-store*) shift ;; *) exec cat ;; esac
done
export NIX_CONFIG="$NIX_CONFIG
store = local?root={away}
substituters = {caches}
require-sigs = false"
eval "exec $*"
"""
EXPRESSION = """
{ busybox }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
in
derivation {
  name = "thing";
  system = builtins.currentSystem;
  builder = "${static}/busybox";
  args = [ "sh" "-euc" "echo >$out" ];
}
"""


@pytest.fixture
def thing(real_nix: RealNix, tmp_path: Path) -> str:
    """A derivation that is evaluated and not built."""
    other_host(real_nix, tmp_path)
    request = Request(Source(expression=EXPRESSION, args={"busybox": real_nix.busybox}), evaluate_only=True)
    return build(real_nix.nix(), request).derivation


def other_host(real_nix: RealNix, tmp_path: Path, caches: str = "") -> None:
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    script = programs / "ssh"
    script.write_text(SSH.format(log=tmp_path / "asked", away=tmp_path / "away", caches=caches))
    script.chmod(0o755)
    real_nix.environment["PATH"] = f"{programs}:{real_nix.environment['PATH']}"


def test_a_derivation_travels_once_with_what_it_needs(real_nix: RealNix, thing: str) -> None:
    nix = real_nix.nix()
    foretold = copy(nix, [thing], PEER, check_mode=True)
    assert {store.name_of(path) for path in foretold.copied} == {"static", "thing.drv"}
    done = copy(nix, [thing], PEER)
    assert (set(done.copied), done.bytes_copied) == (set(foretold.copied), foretold.bytes_copied)
    assert done.bytes_copied == sum(store.sizes(nix, done.copied).values()) > 500_000
    assert copy(nix, [thing], PEER) == copy(nix, [thing], PEER, check_mode=True) == Copied()


def test_what_a_cache_of_the_other_host_has_does_not_travel(real_nix: RealNix, thing: str, tmp_path: Path) -> None:
    nix = real_nix.nix()
    static = next(path for path in store.query(nix, "--requisites", [thing]) if path.endswith("-static"))
    cache = f"file://{tmp_path}/cache"
    assert nix.run("nix", "--extra-experimental-features", "nix-command", "copy", "--to", cache, static).code == 0
    other_host(real_nix, tmp_path, cache)
    done = copy(nix, [thing], PEER, substitute=True)
    assert (done.copied, done.substituted) == ([thing], [static])
    assert done.bytes_copied < 10_000
    assert copy(nix, [thing], PEER, substitute=True) == Copied()


def test_a_host_that_breaks_off_is_named_and_the_next_run_goes_on(
    real_nix: RealNix, thing: str, tmp_path: Path
) -> None:
    script = tmp_path / "programs/ssh"
    good = script.read_text()
    script.write_text("#!/bin/sh\necho 'ssh: connect to host other: Connection timed out' >&2; exit 255\n")
    with pytest.raises(NixError, match=r"Copying from .* to ssh://build@other failed: (.|\n)*Connection timed out"):
        copy(real_nix.nix(), [thing], PEER)
    script.write_text(good)
    assert thing in copy(real_nix.nix(), [thing], PEER).copied
