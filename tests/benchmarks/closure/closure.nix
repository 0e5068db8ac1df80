# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A closure of real software where there is no nixpkgs: each of Debian's packages in a store path of its own, which refers to the paths of
# those that it depends on. So a changed package changes the paths of all that need it, and a changed setting only /etc and the system.
{
  lib,
  busybox,
  dpkg,
  path,
  cpio,
  mksquashfs,
  # [ { name, deb, needs: indices of packages before it } ]
  packages,
  # Name of a package that is another build.
  updated ? "",
  setting ? "",
  # What `nix-store` tells of the system, once that is built: a directory with store-paths and registration.
  closure ? "",
  level ? 3,
}:
let
  system = builtins.currentSystem;
  static = builtins.path {
    name = "static";
    path = /. + dirOf busybox;
    filter = path: _: baseNameOf path == "busybox";
  };
  run =
    name: more: script:
    derivation (
      {
        inherit name system;
        PATH = path;
        builder = "${static}/busybox";
        args = [
          "sh"
          "-euc"
          script
        ];
      }
      // more
    );
  unpacked =
    built: package:
    run package.name
      {
        deb = builtins.path {
          inherit (package) name;
          path = /. + package.deb;
        };
        needs = map (builtins.elemAt built) package.needs;
        build = if package.name == updated then "2" else "1";
      }
      ''
        mkdir $out
        # Without the rights that Nix lets no builder give.
        ${dpkg} --fsys-tarfile $deb | tar --extract --no-same-owner --no-same-permissions --directory $out
        mkdir -p $out/nix-support
        echo $needs $build >$out/nix-support/propagated-build-inputs
      '';
  paths = builtins.foldl' (built: package: built ++ [ (unpacked built package) ]) [ ] packages;
  etc = run "etc" { inherit setting; } "mkdir $out; echo $setting >$out/setting";
  tools = {
    shell = [
      "${static}/busybox"
      "sh"
    ];
    path = "";
    inherit cpio mksquashfs;
  };
  segments = import (/. + lib + "/segments.nix") {
    inherit system tools;
    compression = "-comp zstd -Xcompression-level ${toString level}";
  };
  segment = segments.cut {
    name = "90-system";
    closure = builtins.path {
      name = "closure-info";
      path = /. + closure;
    };
    fetched = true;
  };
in
{
  toplevel = run "system" { inherit etc paths; } "mkdir $out; echo $etc $paths >$out/software";
  segment = segment.out;
  image = import (/. + lib + "/image.nix") { inherit system tools; } {
    name = "closure-image";
    kernel = busybox;
    initrds = [
      {
        name = "initrd-00";
        pieces = [ busybox ];
      }
    ];
    segments = [
      {
        name = "90-system.squashfs";
        file = segment;
      }
    ];
  };
}
