# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode and the differences that nix_build tells, with a real Nix."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix import closure, store
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.forecast import Target
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.ssh import Peer

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

# An image of two libraries, one of which changes with its version and may only be built, never fetched.
EXPRESSION = """
{ busybox, version ? "1.0", imported ? false }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  make = more: name: script: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" script ];
  } // more);
  base = make { } "base-2.4" "head -c 1500000 /dev/urandom >$out";
  local = make { allowSubstitutes = false; } "local" "echo ${base} >$out";
  library = make { } "library-${version}" "echo ${version} ${local} >$out; head -c 700000 /dev/urandom >>$out";
in
if imported then import (make { } "made.nix" "echo '1' >$out") else make { } "image" "echo ${library} >$out"
"""

SSH = """#!/bin/sh
echo "$*" >>'{log}'
while [ "${{1%% *}}" != nix-store ]; do
  case "$*" in *nix-store*) shift ;; *) exec cat ;; esac
done
export NIX_CONFIG="$NIX_CONFIG
store = local?root={away}"
eval "exec $*"
"""


def wanted(real_nix: RealNix, version: str = "1.0", **changes: Any) -> Request:
    args = {"busybox": real_nix.busybox, "version": version, **changes.pop("args", {})}
    return Request(Source(expression=EXPRESSION, args=args), **changes)


def names(paths: list[str]) -> list[str]:
    return sorted(store.name_of(path).removesuffix(".drv") for path in paths)


def contents(real_nix: RealNix) -> set[str]:
    return {str(path) for path in Path(real_nix.environment["NIX_STORE_DIR"]).glob("*") if path.name != ".links"}


def move(real_nix: RealNix, place: str) -> str:
    """Build it, copy it to another store, and clear the first one; the image's path."""
    image = str(build(real_nix.nix(), wanted(real_nix)).out_path)
    command = ("nix", "--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--to", place, image)
    copied = real_nix.nix().run(*command)
    assert copied.code == 0, copied.err
    assert real_nix.nix().run("nix-store", "--gc").code == 0
    assert contents(real_nix) == set()
    return image


def test_check_mode_lists_what_is_built_and_touches_nothing(real_nix: RealNix) -> None:
    foretold = build(real_nix.nix(), wanted(real_nix), check_mode=True)
    assert names(foretold.built) == ["base-2.4", "image", "library-1.0", "local"]
    assert (foretold.fetched, foretold.download_size, foretold.unpacked_size) == ([], 0, 0)
    assert f"to be built:\n  {foretold.built[0]}\n" in foretold.diff["prepared"]
    assert contents(real_nix) == set()
    done = build(real_nix.nix(), wanted(real_nix))
    assert set(done.built) == set(foretold.built)
    assert not build(real_nix.nix(), wanted(real_nix), check_mode=True).changed


def test_a_changed_setting_builds_what_depends_on_it_alone(real_nix: RealNix, tmp_path: Path) -> None:
    link = str(tmp_path / "image")
    first = build(real_nix.nix(), wanted(real_nix, out_link=link))
    before = contents(real_nix)
    foretold = build(real_nix.nix(), wanted(real_nix, "1.1", out_link=link), check_mode=True)
    # What may not be fetched is there all the same, and its own inputs are not asked for.
    assert names(foretold.built) == ["image", "library-1.1"]
    assert (foretold.fetched, foretold.changed) == ([], True)
    assert contents(real_nix) == before
    assert foretold.diff["before"] == f"{link} -> {first.out_path}\nlibrary 1.0\n"
    assert foretold.diff["after"] == f"{link} -> {foretold.out_path}\nlibrary 1.1\n"
    assert [change["bytes_before"] for change in foretold.difference] == [None]
    done = build(real_nix.nix(), wanted(real_nix, "1.1", out_link=link))
    assert (set(done.built), done.out_path) == (set(foretold.built), foretold.out_path)


def test_the_evaluation_foretells_the_build_of_another_store(real_nix: RealNix, tmp_path: Path) -> None:
    """As with build_host: that store has all of it, the task's own host has nothing."""
    away = f"local?root={tmp_path}/away"
    move(real_nix, away)
    here = build(real_nix.nix(), wanted(real_nix, "1.1", evaluate_only=True), check_mode=True)
    assert names(here.built) == ["base-2.4", "image", "library-1.1", "local"]
    there = build(real_nix.nix(), wanted(real_nix, "1.1", evaluate_only=True, target=Target(away)), check_mode=True)
    assert names(there.built) == ["image", "library-1.1"]
    assert (there.fetched, there.changed) == ([], True)


def test_what_a_binary_cache_has_is_fetched_and_its_size_told(real_nix: RealNix, tmp_path: Path) -> None:
    cache = f"file://{tmp_path}/cache"
    move(real_nix, cache)
    fetching = real_nix.nix(substituters=[cache], require_sigs=False)
    foretold = build(fetching, wanted(real_nix), check_mode=True)
    # local forbids to be fetched, but the image needs it only through library.
    assert (foretold.built, names(foretold.fetched)) == ([], ["base-2.4", "image", "library-1.0", "local"])
    assert foretold.unpacked_size == pytest.approx(2_200_000, rel=0.02)
    # /dev/urandom does not compress.
    assert foretold.download_size == pytest.approx(2_200_000, rel=0.02)
    assert "bytes to download" in foretold.diff["prepared"]
    fetched = build(fetching, wanted(real_nix))
    assert (fetched.built, set(fetched.fetched)) == ([], set(foretold.fetched))
    assert fetched.unpacked_size == pytest.approx(foretold.unpacked_size, rel=0.02)
    assert (fetched.closure_size, fetched.download_size) == (fetched.unpacked_size, None)


def test_what_is_partly_there_is_taken_off_the_sizes(real_nix: RealNix, tmp_path: Path) -> None:
    cache = f"file://{tmp_path}/cache"
    move(real_nix, cache)
    fetching = real_nix.nix(substituters=[cache], require_sigs=False)
    foretold = build(fetching, wanted(real_nix), check_mode=True)
    base = next(path for path in foretold.fetched if path.endswith("-base-2.4"))
    assert fetching.run("nix-store", "--realise", base).code == 0
    foretold = build(fetching, wanted(real_nix), check_mode=True)
    assert names(foretold.fetched) == ["image", "library-1.0", "local"]
    assert foretold.unpacked_size == pytest.approx(700_000, rel=0.05)


def test_a_new_output_is_compared_with_the_old_by_package_and_bytes(real_nix: RealNix, tmp_path: Path) -> None:
    link = str(tmp_path / "image")
    first = build(real_nix.nix(), wanted(real_nix, out_link=link))
    # As long as the first version: the image holds a path with it, and its archive is padded to 8 bytes.
    second = build(real_nix.nix(), wanted(real_nix, "1.1", out_link=link))
    assert first.difference == []
    change = dataclasses.asdict(closure.Change("library", ["1.0"], ["1.1"], 700_232, 700_232))
    [found] = second.difference
    assert {**found, "bytes_before": 0, "bytes_after": 0} == {**change, "bytes_before": 0, "bytes_after": 0}
    assert found["bytes_before"] == pytest.approx(700_200, abs=100)
    assert f"library 1.0 ({found['bytes_before']} bytes)" in second.diff["before"]
    assert f"library 1.1 ({found['bytes_after']} bytes)" in second.diff["after"]
    assert second.closure_size == sum(closure.sizes(real_nix.nix(), str(second.out_path)).values())
    # Nix's own words for it, where its diff-closures exists.
    said = real_nix.nix().run(
        "nix",
        "--extra-experimental-features",
        "nix-command",
        "store",
        "diff-closures",
        str(first.out_path),
        str(second.out_path),
    )
    assert "library: 1.0 → 1.1\n" in said.out
    back = build(real_nix.nix(), wanted(real_nix, out_link=link), check_mode=True)
    assert (back.built, back.closure_size) == ([], first.closure_size)
    assert back.difference[0]["bytes_after"] == found["bytes_before"]


def test_a_link_to_what_was_collected_is_no_hindrance(real_nix: RealNix, tmp_path: Path) -> None:
    gone = f"{real_nix.environment['NIX_STORE_DIR']}/{'a' * 32}-gone"
    for evaluate_only in (True, False):
        link = tmp_path / f"link{evaluate_only}"
        request = wanted(real_nix, out_link=str(link), evaluate_only=evaluate_only)
        link.symlink_to(f"{gone}.drv" if evaluate_only else gone)
        foretold = build(real_nix.nix(), request, check_mode=True)
        done = build(real_nix.nix(), request)
        assert (foretold.changed, foretold.difference, done.changed, done.difference) == (True, [], True, [])
        assert (link.resolve().exists(), build(real_nix.nix(), request).changed) == (True, False)
    link.unlink()
    link.symlink_to(gone)
    there = build(real_nix.nix(), request, check_mode=True)
    assert (there.built, there.changed, there.difference) == ([], True, [])


def test_another_store_is_asked_by_the_way_that_leads_there(real_nix: RealNix, tmp_path: Path) -> None:
    """As with build_host; what stands in for ssh notes how it was called, and answers for the other store."""
    away = f"local?root={tmp_path}/away"
    move(real_nix, away)
    programs = tmp_path / "ssh-programs"
    programs.mkdir()
    (programs / "ssh").write_text(SSH.format(log=tmp_path / "asked", away=tmp_path / "away"))
    (programs / "ssh").chmod(0o755)
    real_nix.environment["PATH"] = f"{programs}:{real_nix.environment['PATH']}"
    peer = Peer("ssh://build@other:2222")
    target = Target(peer.store, peer.environment())
    there = build(real_nix.nix(), wanted(real_nix, "1.1", evaluate_only=True, target=target), check_mode=True)
    assert names(there.built) == ["image", "library-1.1"]
    whole = build(real_nix.nix(), wanted(real_nix, evaluate_only=True, target=target), check_mode=True)
    assert (whole.built, whole.fetched, whole.unpacked_size) == ([], [], 0)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) > 3
    assert [line for line in asked if "-p 2222 " not in line or "BatchMode=yes" not in line] == []


def test_what_imports_its_own_build_needs_a_real_run(real_nix: RealNix) -> None:
    with pytest.raises(NixError, match="only a real run can evaluate it"):
        build(real_nix.nix(), wanted(real_nix, args={"imported": True}), check_mode=True)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openssl-3.0.14", ("openssl", "3.0.14")),
        ("openssl-3.0.14-bin", ("openssl", "3.0.14")),
        ("linux-headers-static-6.1", ("linux-headers-static", "6.1")),
        ("source", ("source", "-")),
        ("glibc-2.39-52-dev", ("glibc", "2.39-52")),
        ("bash-5.2p26.drv", ("bash", "5.2p26")),
    ],
)
def test_names_are_told_from_versions_as_nix_does(name: str, parts: tuple[str, str]) -> None:
    assert closure.split_name(f"/nix/store/{'0' * 32}-{name}") == parts


def test_packages_that_come_and_go_have_no_bytes_on_one_side() -> None:
    path = f"/nix/store/{'0' * 32}-"
    changes = closure.compare({path + "a-1": 10, path + "b-1": 5}, {path + "b-1": 5, path + "c-2": 7})
    assert [(change.name, change.bytes_before, change.bytes_after) for change in changes] == [("a", 10, 0), ("c", 0, 7)]
    assert closure.text(changes, "before") == "a 1 (10 bytes)\n"
    assert closure.text(changes, "after") == "c 2 (7 bytes)\n"


def test_a_built_path_is_fetched_from_a_cache_or_said_to_be_nowhere(real_nix: RealNix, tmp_path: Path) -> None:
    cache = f"file://{tmp_path}/cache"
    image = move(real_nix, cache)
    wanted_path = Request(Source(path=image), out_link=str(tmp_path / "image"))
    for check_mode in (True, False):
        with pytest.raises(NixError, match=r"None of the binary caches of .* has it"):
            build(real_nix.nix(), wanted_path, check_mode)
    fetching = real_nix.nix(substituters=[cache], require_sigs=False)
    foretold = build(fetching, wanted_path, check_mode=True)
    assert (names(foretold.fetched), foretold.built) == (["base-2.4", "image", "library-1.0", "local"], [])
    assert not (tmp_path / "image").is_symlink()
    done = build(fetching, wanted_path)
    assert (done.changed, set(done.fetched), done.derivation) == (True, set(foretold.fetched), None)
    assert (tmp_path / "image").resolve() == Path(image)
    assert not build(fetching, wanted_path).changed


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_cache_that_cannot_be_reached_is_named(real_nix: RealNix, check_mode: bool) -> None:
    path = f"{real_nix.environment['NIX_STORE_DIR']}/{'a' * 32}-x"
    # Port 9 (discard) is served nowhere. Nix would try for half a minute.
    nix = real_nix.nix(substituters=["http://127.0.0.1:9"], download_attempts=1)
    with pytest.raises(NixError) as caught:
        build(nix, Request(Source(path=path)), check_mode=check_mode)
    said = str(caught.value)
    assert "unable to download 'http://127.0.0.1:9/nix-cache-info'" in said
    assert "does not reach that address" in said
    assert "None of the binary caches" not in said
    assert "retrying in" not in said


def test_a_cache_whose_key_is_not_trusted_is_not_believed(real_nix: RealNix, tmp_path: Path) -> None:
    cache = f"file://{tmp_path}/cache"
    image = move(real_nix, cache)
    with pytest.raises(NixError, match="trusted-public-keys"):
        build(real_nix.nix(substituters=[cache]), Request(Source(path=image)))
