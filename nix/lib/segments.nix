# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The segment cutter: a group of files becomes one archive of stable bytes. Of a tree it is one piece of the image; of a closure each store
# path is a piece, whose bytes depend on that path alone.
#
# The archive is an uncompressed cpio that holds `segments/<name>.squashfs`. The kernel unpacks any number of such archives
# one after another; stage 1 mounts what it finds under /segments, in the order of the names. Compression is squashfs's own: the
# machine then unpacks only what it reads. (Measured: squashfs in cpio boots in 15 CPU seconds, one zstd cpio in 22.)
{
  system,
  tools,
  compression ? "-comp zstd -Xcompression-level 15",
}:
let
  step = import ./step.nix { inherit system tools; };
in
{
  # name: file name without ".squashfs"; give it a number, for its rank among the segments. And one of
  # tree: a directory whose content becomes the root of the squashfs;
  # closure: a directory with `store-paths` and `registration` (closureInfo of nixpkgs). The paths stand under their own base
  #   names, without those of the closures in `without`; the registration comes along as `nix-path-registration`. Output `pieces` tells
  #   the sizes of the pieces.
  # fetched: the squashfs by itself, for image.nix's `segments`, which stage 1 fetches; else an archive, for an initrd.
  cut =
    {
      name,
      tree ? "",
      closure ? "",
      without ? [ ],
      fetched ? false,
    }:
    step (
      {
        name = "segment-${name}";
        script = ./cut-segment.sh;
        segment = name;
        inherit
          tree
          closure
          without
          compression
          fetched
          ;
      }
      // (
        if closure == "" then
          { }
        else
          {
            outputs = [
              "out"
              "pieces"
            ];
          }
      )
    );

  # Any other tree as an archive of the same kind, unpacked as it is: stage 1 itself.
  archive =
    { name, tree }:
    step {
      name = "archive-${name}";
      script = ./archive-tree.sh;
      inherit tree;
    };
}
