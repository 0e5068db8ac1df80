# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The store of the roots in memory: the image's segments, mounted and laid over one another below what is built.
{ config, lib, ... }:
let
  cfg = config.nixmetal.image;
  mountPoint = name: "/nix/.segments/${name}";
in
{
  config = lib.mkIf cfg.overlay {
    fileSystems = {
      "/nix/store" = {
        overlay = {
          lowerdir = map mountPoint cfg.segmentNames;
          # On the root, and so of its size.
          upperdir = "/nix/.writable/store";
          workdir = "/nix/.writable/work";
        };
        neededForBoot = true;
      };
    }
    // lib.listToAttrs (
      map (name: {
        name = mountPoint name;
        value = {
          # In stage 1's own file system; written as NixOS's netboot module writes it.
          device = "../segments/${name}.squashfs";
          fsType = "squashfs";
          options = [ "loop" ];
          neededForBoot = true;
        };
      }) cfg.segmentNames
    );
    boot.initrd.availableKernelModules = [
      "squashfs"
      "overlay"
    ];
    boot.initrd.kernelModules = [
      "loop"
      "overlay"
    ];
  };
}
