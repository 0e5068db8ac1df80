# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What module nix_build relies on, with a real Nix."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

EXPRESSION = """
{ busybox, script, name ? "thing", outputs ? [ "out" ], extra ? null }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  make = name: script: derivation {
    inherit name outputs;
    system = builtins.currentSystem;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" script ];
    extra = builtins.toJSON extra;
  };
in
{
  thing = make name script;
  above = make "above" "cat ${make name script} >$out";
  both = [ (make "a" script) (make "b" script) ];
}
"""


def wanted(real_nix: RealNix, script: str, attr: str = "thing", **changes: Any) -> Request:
    args = {"busybox": real_nix.busybox, "script": script, **changes.pop("args", {})}
    return Request(Source(expression=EXPRESSION, attr=attr, args=args), **changes)


def test_a_build_is_done_once(real_nix: RealNix) -> None:
    request = wanted(real_nix, 'echo made >"$out"')
    first, second = build(real_nix.nix(), request), build(real_nix.nix(), request)
    assert first.changed
    assert first.built == [first.derivation]
    assert Path(str(first.out_path)).read_text() == "made\n"
    assert first.outputs == {"out": first.out_path}
    assert (second.changed, second.built, second.fetched) == (False, [], [])
    assert second.out_path == first.out_path


def test_check_mode_writes_nothing_and_foretells_the_same_paths(real_nix: RealNix, tmp_path: Path) -> None:
    request = wanted(real_nix, 'echo made >"$out"', out_link=str(tmp_path / "result"))
    foretold = build(real_nix.nix(), request, check_mode=True)
    assert foretold.changed
    assert not Path(foretold.derivation).exists()
    assert not (tmp_path / "result").is_symlink()
    done = build(real_nix.nix(), request)
    assert (foretold.derivation, foretold.outputs) == (done.derivation, done.outputs)
    assert {name: foretold.diff[name] for name in done.diff} == done.diff
    assert foretold.diff["after"] == f"{tmp_path}/result -> {done.out_path}\n"
    assert not build(real_nix.nix(), request, check_mode=True).changed


def test_check_mode_lists_all_builds_once_the_derivation_is_there(real_nix: RealNix) -> None:
    request = wanted(real_nix, 'echo made >"$out"', attr="above")
    build(real_nix.nix(), dataclasses.replace(request, evaluate_only=True))
    again = build(real_nix.nix(), dataclasses.replace(request, evaluate_only=True), check_mode=True)
    assert (again.changed, len(again.built)) == (False, 2), "what is to be built is for another task"
    foretold = build(real_nix.nix(), request, check_mode=True)
    assert len(foretold.built) == 2
    assert foretold.derivation in foretold.built
    assert not Path(str(foretold.out_path)).exists()


def test_arguments_keep_their_types_and_are_never_code(real_nix: RealNix) -> None:
    values = {"number": 3, "text": '${abort "spliced"} "; abort', "list": [True, None, 1.5], "dict": {"a b": {}}}
    request = wanted(real_nix, 'echo "$extra" >"$out"', args={"extra": values})
    text = Path(str(build(real_nix.nix(), request).out_path)).read_text()
    assert (
        text.strip()
        == '{"dict":{"a b":{}},"list":[true,null,1.5],"number":3,"text":"${abort \\"spliced\\"} \\"; abort"}'
    )


def test_evaluation_alone_makes_the_derivation_once(real_nix: RealNix, tmp_path: Path) -> None:
    request = wanted(real_nix, 'echo made >"$out"', evaluate_only=True, out_link=str(tmp_path / "image.drv"))
    first, second = build(real_nix.nix(), request), build(real_nix.nix(), request)
    assert (first.changed, second.changed) == (True, False)
    assert (tmp_path / "image.drv").resolve() == Path(first.derivation)
    assert not Path(str(first.out_path)).exists()
    (tmp_path / "image.drv").unlink()
    again = build(real_nix.nix(), request)
    assert (again.changed, (tmp_path / "image.drv").resolve()) == (True, Path(first.derivation))
    built = build(real_nix.nix(), Request(Source(derivation=first.derivation)))
    assert built.out_path == first.out_path
    assert Path(str(built.out_path)).exists()


def test_links_follow_the_outputs(real_nix: RealNix, tmp_path: Path) -> None:
    link = str(tmp_path / "result")
    args = {"outputs": ["out", "dev"]}
    request = wanted(real_nix, 'echo 1 >"$out"; echo d >"$dev"', out_link=link, args=args)
    first = build(real_nix.nix(), request)
    assert sorted(first.outputs) == ["dev", "out"]
    assert (tmp_path / "result-dev").read_text() == "d\n"
    assert not build(real_nix.nix(), request).changed
    (tmp_path / "result-dev").unlink()
    again = build(real_nix.nix(), request)
    assert (again.changed, again.built) == (True, [])
    other = build(real_nix.nix(), wanted(real_nix, 'echo 2 >"$out"; echo d >"$dev"', out_link=link, args=args))
    assert f"result -> {first.out_path}\n" in other.diff["before"]
    assert (tmp_path / "result").read_text() == "2\n"


def test_a_failed_build_shows_its_own_last_words(real_nix: RealNix) -> None:
    request = wanted(real_nix, "for i in 1 2 3 4 5; do echo line $i; done; exit 3", attr="above", log_lines=2)
    with pytest.raises(NixError) as caught:
        build(real_nix.nix(), request)
    assert caught.value.details["log"] == ["line 4", "line 5"]
    assert [path.endswith("-thing.drv") for path in caught.value.details["failed_derivations"]] == [True]
    assert "line 5" in str(caught.value)
    assert "line 3" not in str(caught.value)


def test_a_full_disk_is_named_with_its_remedy(real_nix: RealNix) -> None:
    with pytest.raises(NixError, match=r"no space left on .*nix-collect-garbage"):
        build(real_nix.nix(), wanted(real_nix, "echo 'cp: write error: No space left on device'; exit 1"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"expression": "{ a }: a", "args": {"b": 1}}, "unexpected argument 'b'|without required argument 'a'"),
        ({"expression": "{ }", "args": {"b": 1}}, "takes no arguments, but got b"),
        ({"expression": "{ }", "attr": "image"}, "attribute 'image'.*not found|missing"),
        ({"expression": "{ a = }"}, "syntax error"),
        (
            {"expression": EXPRESSION, "attr": "both", "args": {"busybox": "/bin/busybox", "script": ""}},
            "evaluates to 2 derivations",
        ),
        ({"file": "/nonexistent/default.nix"}, "There is no /nonexistent/default.nix"),
        ({"derivation": "{store}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.drv"}, "is not in the store of .*nix_copy"),
        ({"flake": "/x", "args": {"a": 1}}, "flake takes neither"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_evaluated_is_explained(real_nix: RealNix, source: dict[str, Any], message: str) -> None:
    if "derivation" in source:
        source = {"derivation": source["derivation"].format(store=real_nix.environment["NIX_STORE_DIR"])}
    if source.get("args", {}).get("busybox"):
        source = {**source, "args": {**source["args"], "busybox": real_nix.busybox}}
    with pytest.raises(NixError, match=message):
        build(real_nix.nix(), Request(Source(**source)))


def test_rebuild_finds_what_differs_and_is_no_change(real_nix: RealNix) -> None:
    same = wanted(real_nix, 'echo same >"$out"', rebuild=True)
    assert build(real_nix.nix(), same).changed
    assert not build(real_nix.nix(), same).changed
    other = wanted(real_nix, 'head -c 16 /dev/urandom >"$out"', rebuild=True)
    build(real_nix.nix(), other)
    with pytest.raises(NixError, match="may not be deterministic"):
        build(real_nix.nix(), other)


def test_nowhere_to_build_is_explained(real_nix: RealNix) -> None:
    with pytest.raises(NixError, match=r"'max_jobs', 'builders'|No builder took it"):
        build(real_nix.nix(max_jobs=0, builders=""), wanted(real_nix, 'echo >"$out"'))


@pytest.mark.parametrize(
    "more", ['system = "riscv64-linux";', 'system = "x86_64-linux"; requiredSystemFeatures = [ "moon" ];']
)
def test_what_the_host_may_not_build_is_explained(real_nix: RealNix, more: str) -> None:
    expression = f'derivation {{ name = "foreign"; builder = "/bin/sh"; {more} }}'
    with pytest.raises(NixError, match="'max_jobs', 'builders' and the system and features"):
        build(real_nix.nix(), Request(Source(expression=expression)))


def test_a_flake_is_built(real_nix: RealNix, tmp_path: Path) -> None:
    directory = tmp_path / "flake"
    directory.mkdir()
    (tmp_path / "input").mkdir()
    (directory / "flake.nix").write_text(
        f'{{ inputs.other = {{ url = "path:{tmp_path}/input"; flake = false; }};'
        ' outputs = _: { packages.x86_64-linux.thing = derivation { name = "thing"; system = "x86_64-linux"; '
        'builder = "/bin/sh"; args = [ "-c" "echo flake >$out" ]; }; }; }'
    )
    request = Request(Source(flake=f"path:{directory}", attr="thing"))
    foretold = build(real_nix.nix(), request, check_mode=True)
    assert foretold.built == [foretold.derivation]
    assert not Path(str(foretold.derivation)).exists()
    looked = build(real_nix.nix(), dataclasses.replace(request, evaluate_only=True), check_mode=True)
    evaluated = build(real_nix.nix(), dataclasses.replace(request, evaluate_only=True))
    assert (looked.changed, evaluated.changed) == (False, False)
    assert (evaluated.derivation, evaluated.out_path) == (foretold.derivation, foretold.out_path)
    assert not Path(str(evaluated.out_path)).exists()
    with pytest.raises(NixError, match="no link to the derivation of a flake: leave out 'out_link'"):
        build(real_nix.nix(), dataclasses.replace(request, evaluate_only=True, out_link=str(tmp_path / "link")))
    first = build(real_nix.nix(), request)
    assert Path(str(first.out_path)).read_text() == "flake\n"
    assert not build(real_nix.nix(), request).changed
    assert [path.name for path in directory.iterdir()] == ["flake.nix"], "it is the operator's own"


def test_one_of_several_outputs_is_chosen_by_attr(real_nix: RealNix) -> None:
    request = wanted(real_nix, 'echo 1 >"$out"; echo d >"$dev"', attr="thing.dev", args={"outputs": ["out", "dev"]})
    foretold, done = build(real_nix.nix(), request, check_mode=True), build(real_nix.nix(), request)
    assert (foretold.out_path, done.out_path) == (done.outputs["dev"], done.outputs["dev"])
    assert Path(str(done.out_path)).read_text() == "d\n"
