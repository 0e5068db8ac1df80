# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A closure cut by store path: many derivations that refer to one another, built by a real Nix, in images that differ in one setting."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema

from ansible_collections.nixmetal.builders.plugins.module_utils.nix.building import build
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.evaluation import Source
from ansible_collections.nixmetal.builders.plugins.module_utils.nix.result import Request

if TYPE_CHECKING:
    from tests.unit.conftest import RealNix

CHECKOUT = Path(__file__).resolve().parents[3]
LIBRARIES = 16

# Each library refers to the two before it; only /etc knows the setting, and only the system knows /etc.
EXPRESSION = """
{ lib, busybox, cpio, mksquashfs, motd, loader, libraries }:
let
  system = builtins.currentSystem;
  static = builtins.path { name = "static"; path = /. + dirOf busybox; filter = path: _: baseNameOf path == "busybox"; };
  run = name: env: script: derivation ({
    inherit name system;
    builder = "${static}/busybox";
    args = [ "sh" "-euc" script ];
  } // env);
  library = number:
    if number < 0 then ""
    else run "library-${toString number}" { one = library (number - 1); two = library (number - 2); } ''
      mkdir -p $out/lib
      # Of more than one block, which no two libraries share, and small files that all have.
      yes $name | head -c 700000 >$out/lib/$name.so
      echo a licence >$out/LICENSE
      echo $one $two >$out/references
      ln -s $name.so $out/lib/link.so
    '';
  last = library (libraries - 1);
  etc = run "etc" { inherit motd last; } "mkdir $out; echo $motd >$out/motd; echo $last >$out/ld.so.conf";
  plain = run "plain-file" { } "echo of one file >$out";
  toplevel = run "system" { inherit etc last plain; } "mkdir $out; ln -s $etc $out/etc; echo $plain $last $etc >$out/software";
  # What closureInfo of nixpkgs makes.
  closureInfo = root: run "closure-info" { exportReferencesGraph = [ "graph" root ]; } ''
    mkdir $out
    grep ^/ graph | sort -u >$out/store-paths
    cp graph $out/registration
  '';
  tools = { shell = [ "${static}/busybox" "sh" ]; path = ""; inherit cpio mksquashfs; };
  segments = import (/. + lib + "/segments.nix") { inherit system tools; compression = "-comp zstd -Xcompression-level 3"; };
  cut = fetched: segments.cut { name = "90-system"; closure = closureInfo toplevel; inherit fetched; };
in
{
  closure = closureInfo toplevel;
  image = import (/. + lib + "/image.nix") { inherit system tools; } ({
    name = "closure-image";
    kernel = plain;
    initrds = [ { name = "initrd-00"; pieces = [ plain ]; } ]
      ++ (if loader == "ipxe" then [ { name = "initrd-10-system"; pieces = [ (cut false) ]; } ] else [ ]);
    segments = if loader == "ipxe" then [ ] else [ { name = "90-system.squashfs"; file = cut true; } ];
  });
}
"""


class Image(NamedTuple):
    """An image directory, and of its file with the closure the pieces' digests."""

    directory: Path
    # By store path, for the pieces of which there is one for each.
    paths: dict[str, str]
    # Superblock (with the archive's headers), registration, tables.
    others: list[str]
    file: str


def make(real_nix: RealNix, tools: dict[str, str], attr: str, **args: Any) -> Path:
    known = {"lib": str(CHECKOUT / "nix/lib"), "busybox": real_nix.busybox}
    programs = {name: tools[name] for name in ("cpio", "mksquashfs")}
    source = Source(expression=EXPRESSION, attr=attr, args={**known, **programs, **args})
    return Path(str(build(real_nix.nix(), Request(source)).out_path))


def names(paths: Iterable[str]) -> set[str]:
    """Without the directory and the hash."""
    return {path.rpartition("/")[2].partition("-")[2] for path in paths}


def image(
    real_nix: RealNix, tools: dict[str, str], motd: str, loader: str = "stage-1", libraries: int = LIBRARIES
) -> Image:
    directory = make(real_nix, tools, "image", motd=motd, loader=loader, libraries=libraries)
    document = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    schema = CHECKOUT / "docs/contracts/image-manifest.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    file = document["files"][-1]
    content = (directory / file["name"]).read_bytes()
    digests = []
    for piece in file["pieces"]:
        part, content = content[: piece["size"]], content[piece["size"] :]
        digests.append(hashlib.sha256(part).hexdigest())
        assert digests[-1] == piece["sha256"]
    assert content == b""
    closure = make(real_nix, tools, "closure", motd=motd, loader=loader, libraries=libraries)
    paths = (closure / "store-paths").read_text(encoding="utf-8").splitlines()
    assert len(paths) == libraries + 3
    assert len(digests) == len(paths) + 3
    by_path = dict(zip(paths, digests[1:-2], strict=True))
    return Image(directory, by_path, [digests[0], *digests[-2:]], file["name"])


def test_one_changed_value_changes_the_pieces_that_it_reaches_and_no_other(
    real_nix: RealNix, tools: dict[str, str]
) -> None:
    one, two = (image(real_nix, tools, motd) for motd in ("one", "two"))
    assert names(one.paths.keys() - two.paths.keys()) == {"etc", "system"}
    assert len(one.paths.keys() & two.paths.keys()) == LIBRARIES + 1
    before = {*one.paths.values(), *one.others}
    # What travels besides is superblock, registration and tables, which tell of all paths.
    assert names(path for path, digest in two.paths.items() if digest not in before) == {"etc", "system"}
    assert len(two.others) == 3
    # Whoever loads them, and whatever else there is: all libraries have an equal file, and most are not the first that has it.
    assert image(real_nix, tools, "two", "ipxe").paths == two.paths
    few = image(real_nix, tools, "two", libraries=1)
    common = few.paths.keys() & two.paths.keys()
    assert names(common) == {"library-0", "plain-file"}
    assert {path: few.paths[path] for path in common} == {path: two.paths[path] for path in common}


def test_what_was_added_path_by_path_is_the_closure(real_nix: RealNix, tools: dict[str, str], tmp_path: Path) -> None:
    made = image(real_nix, tools, "two")
    target = tmp_path / "unpacked"
    squashfs = made.directory / made.file
    subprocess.run([tools["unsquashfs"], "-quiet", "-no-progress", "-d", str(target), str(squashfs)], check=True)
    assert {path.name for path in target.iterdir()} == {
        *(Path(path).name for path in made.paths),
        "nix-path-registration",
    }
    for path in made.paths:
        same = ["diff", "--recursive", "--no-dereference", path, str(target / Path(path).name)]
        assert subprocess.run(same, check=False).returncode == 0, path
