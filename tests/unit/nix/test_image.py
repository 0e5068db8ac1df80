# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image directory that nix/lib makes, with a real Nix: contract, pieces, script, stable bytes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.errors import NixError
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

CHECKOUT = Path(__file__).resolve().parents[3]

EXPRESSION = """
{ lib, busybox, cpio, mksquashfs, settings ? "one", closure ? null, without ? [ ] }:
let
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  tools = { shell = [ "${static}/busybox" "sh" ]; path = ""; inherit cpio mksquashfs; };
  system = builtins.currentSystem;
  segments = import (/. + lib + "/segments.nix") { inherit system tools; compression = "-comp gzip"; };
  tree = name: text: derivation {
    inherit name system;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" "mkdir $out; echo '${text}' >$out/a; cp $out/a $out/b; ln -s a $out/c" ];
  };
in
{
  image = import (/. + lib + "/image.nix") { inherit system tools; } {
    name = "test-image";
    kernel = "${tree "kernel" "the kernel"}/a";
    kernelParams = [ "panic=10" "quiet" ];
    initrds = [
      { name = "initrd-00"; pieces = [ (segments.archive { name = "stage-1"; tree = tree "stage-1" "init"; }) ]; }
      { name = "initrd-05"; pieces = [ "${tree "odd" "12345"}/a" "${tree "even" "123"}/a" ]; }
      {
        name = "initrd-10";
        pieces = [
          (segments.cut { name = "10-base"; tree = tree "base" "base"; })
          (segments.cut { name = "90-settings"; tree = tree "settings" settings; })
        ];
      }
    ];
  };
  fetching = import (/. + lib + "/image.nix") { inherit system tools; } {
    name = "fetching-image";
    kernel = "${tree "kernel" "the kernel"}/a";
    initrds = [
      { name = "initrd-00"; pieces = [ "${tree "odd" "12345"}/a" ]; }
      { name = "initrd-05"; pieces = [ "${tree "even" "123"}/a" ]; }
    ];
    segments = [
      { name = "10-base.squashfs"; file = segments.cut { name = "10-base"; tree = tree "base" "base"; fetched = true; }; }
      {
        name = "90-settings.squashfs";
        file = segments.cut { name = "90-settings"; tree = tree "settings" settings; fetched = true; };
      }
    ];
  };
  archive = segments.archive { name = "stage-1"; tree = tree "stage-1" "init"; };
  segment = segments.cut { name = "10-base"; tree = tree "base" "base"; };
  closure = segments.cut { name = "10-closure"; inherit closure without; };
}
"""


def make(real_nix: RealNix, tools: dict[str, str], attr: str = "image", rebuild: bool = False, **args: Any) -> Path:
    known = {"lib": str(CHECKOUT / "nix/lib"), "busybox": real_nix.busybox}
    programs = {name: tools[name] for name in ("cpio", "mksquashfs")}
    source = Source(expression=EXPRESSION, attr=attr, args={**known, **programs, **args})
    return Path(str(build(real_nix.nix(), Request(source, rebuild=rebuild)).out_path))


def manifest(image: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((image / "manifest.json").read_text(encoding="utf-8"))
    return document


def test_the_manifest_says_what_is_there(real_nix: RealNix, tools: dict[str, str]) -> None:
    image = make(real_nix, tools)
    document = manifest(image)
    schema = CHECKOUT / "docs/contracts/image-manifest.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    assert document["image_id"] == image.name
    assert document["kernel_params"] == ["panic=10", "quiet"]
    assert [file["name"] for file in document["files"]] == ["kernel", "initrd-00", "initrd-05", "initrd-10"]
    for file in document["files"]:
        content = (image / file["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
        for piece in file.get("pieces", []):
            part, content = content[: piece["size"]], content[piece["size"] :]
            assert hashlib.sha256(part).hexdigest() == piece["sha256"]
        assert not file.get("pieces") or content == b""
    assert [len(file.get("pieces", [])) for file in document["files"]] == [0, 1, 2, 2]
    assert (image / "initrd-05").read_bytes() == b"12345\n\0\0" + b"123\n"


def test_a_small_change_changes_one_piece(real_nix: RealNix, tools: dict[str, str]) -> None:
    one, two = (manifest(make(real_nix, tools, settings=text)) for text in ("one", "two"))
    assert one["files"][:3] == two["files"][:3]
    assert one["files"][3]["pieces"][0] == two["files"][3]["pieces"][0]
    assert one["files"][3]["pieces"][1] != two["files"][3]["pieces"][1]
    assert one["image_id"] != two["image_id"]


def test_the_plain_script_boots_by_relative_names(real_nix: RealNix, tools: dict[str, str]) -> None:
    image = make(real_nix, tools)
    assert (image / "netboot.ipxe").read_text(encoding="utf-8").splitlines() == [
        "#!ipxe",
        "",
        f"kernel kernel initrd=initrd-00 initrd=initrd-05 initrd=initrd-10 panic=10 quiet nixmetal.image={image.name} ${{cmdline}}",
        "initrd initrd-00",
        "initrd initrd-05",
        "initrd initrd-10",
        "boot",
    ]


# Where a squashfs says when it was made.
MADE = re.compile(rb"hsqs.{4}(.{4})", re.DOTALL)


@pytest.mark.parametrize("attr", ["archive", "segment", "closure", "image"])
def test_building_again_gives_the_same_bytes(
    real_nix: RealNix, tools: dict[str, str], tmp_path: Path, attr: str
) -> None:
    """Nix builds the named derivation alone anew, not what it is made of."""
    (tmp_path / "store-paths").write_text(f"{tmp_path / 'path'}\n")
    (tmp_path / "registration").touch()
    (tmp_path / "path").write_text("content")
    args = {"closure": str(tmp_path)} if attr == "closure" else {}
    made = make(real_nix, tools, attr, **args)
    make(real_nix, tools, attr, rebuild=True, **args)
    # Two builds within one second would hide a clock.
    content = (made / "initrd-10" if attr == "image" else made).read_bytes()
    assert set(MADE.findall(content)) == (set() if attr == "archive" else {b"\1\0\0\0"})


def test_a_closure_leaves_out_what_lower_segments_hold(
    real_nix: RealNix, tools: dict[str, str], tmp_path: Path
) -> None:
    infos = {"lower": ["shared"], "upper": ["shared", "own"]}
    for info, names in infos.items():
        (tmp_path / info).mkdir()
        paths = [tmp_path / "paths" / name for name in names]
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
            (path / "file").write_text(path.name)
        (tmp_path / info / "store-paths").write_text("".join(f"{path}\n" for path in paths))
        (tmp_path / info / "registration").write_text(f"registration of {info}\n")
    lower = [str(tmp_path / "lower")]
    archive = make(real_nix, tools, "closure", closure=str(tmp_path / "upper"), without=lower)
    subprocess.run([tools["cpio"], "-idm", "--quiet"], stdin=archive.open("rb"), cwd=tmp_path, check=True)
    target = tmp_path / "tree"
    image = tmp_path / "segments" / "10-closure.squashfs"
    subprocess.run([tools["unsquashfs"], "-quiet", "-no-progress", "-d", str(target), str(image)], check=True)
    assert sorted(path.name for path in target.iterdir()) == ["nix-path-registration", "own"]
    assert (target / "nix-path-registration").read_text() == "registration of upper\n"
    with pytest.raises(NixError, match="segments below it hold all of its paths"):
        make(real_nix, tools, "closure", closure=str(tmp_path / "lower"), without=lower)


def test_segments_that_stage_1_fetches_are_listed_in_the_first_initrd(
    real_nix: RealNix, tools: dict[str, str], tmp_path: Path
) -> None:
    image = make(real_nix, tools, attr="fetching")
    document = manifest(image)
    schema = CHECKOUT / "docs/contracts/image-manifest.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    roles = [(file["name"], file["role"]) for file in document["files"]]
    assert roles[1:] == [
        ("initrd-00", "initrd"),
        ("initrd-05", "initrd"),
        ("10-base.squashfs", "segment"),
        ("90-settings.squashfs", "segment"),
    ]
    segments = document["files"][3:]
    for segment in segments:
        content = (image / segment["name"]).read_bytes()
        assert content[:4] == b"hsqs"
        assert (len(content), hashlib.sha256(content).hexdigest()) == (segment["size"], segment["sha256"])
    listed = document["files"][1]["pieces"]
    assert len(listed) == 2
    archive = (image / "initrd-00").read_bytes()[listed[0]["size"] :]
    subprocess.run([tools["cpio"], "-i", "--quiet", "-d"], input=archive, cwd=tmp_path, check=True)
    lines = (tmp_path / "etc/nixmetal/segments").read_text().splitlines()
    assert lines == [f"{segment['name']} {segment['size']} {segment['sha256']}" for segment in segments]
    # An iPXE that does not know where the script is loads them itself, to where stage 1 looks for them.
    assert (tmp_path / "segments").is_dir()
    assert (image / "netboot.ipxe").read_text().splitlines()[2:] == [
        "isset ${cwuri} && set segments nixmetal.script=${cwuri} ||",
        f"kernel kernel initrd=initrd-00 initrd=initrd-05 ${{segments}}  nixmetal.image={image.name} ${{cmdline}}",
        "initrd initrd-00",
        "initrd initrd-05",
        "isset ${cwuri} && goto boot ||",
        "initrd 10-base.squashfs /segments/10-base.squashfs",
        "initrd 90-settings.squashfs /segments/90-settings.squashfs",
        ":boot",
        "boot",
    ]


def test_a_changed_segment_changes_the_list_and_no_other_segment(real_nix: RealNix, tools: dict[str, str]) -> None:
    one, two = (manifest(make(real_nix, tools, attr="fetching", settings=text))["files"] for text in ("one", "two"))
    changed = [before["name"] for before, after in zip(one, two, strict=True) if before != after]
    assert changed == ["initrd-00", "90-settings.squashfs"]
    assert one[1]["pieces"][0] == two[1]["pieces"][0]
