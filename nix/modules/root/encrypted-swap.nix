# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The root in a tmpfs that spills to encrypted swap: lib/encrypted-swap.sh, in stage 1, sizes it when it is mounted.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.nixmetal.root;
in
{
  config = lib.mkIf (cfg.type == "encrypted-swap") {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
      options = [ "mode=0755" ];
    };

    nixmetal.root.prepare = "encrypted-swap.sh";
    boot.initrd = {
      # Its udev rules are device-mapper's: without them cryptsetup waits for udev without end.
      services.lvm.enable = true;
      availableKernelModules = [
        "aes"
        "cryptd"
        "dm_crypt"
        "dm_mod"
        # xts is made of it where the processor has no xts of its own.
        "ecb"
        "xts"
      ]
      ++ lib.optional pkgs.stdenv.hostPlatform.isx86_64 "aesni_intel";
      systemd = {
        extraBin = {
          cryptsetup = "${pkgs.cryptsetup}/bin/cryptsetup";
          mkswap = "${pkgs.util-linux}/bin/mkswap";
          swapon = "${pkgs.util-linux}/bin/swapon";
        };
        services.nixmetal-disks = {
          after = [ "sysroot.mount" ];
          requires = [ "sysroot.mount" ];
          before = [
            "initrd-root-fs.target"
            "initrd-fs.target"
          ];
          requiredBy = [ "initrd-root-fs.target" ];
        };
      };
    };
  };
}
