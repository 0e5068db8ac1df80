# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The root on the machine's own disks, in one ZFS pool: lib/zfs-stripe.sh makes it in stage 1, before sysroot.mount, and
# lib/unpack-store.sh unpacks the segments into it. A real file system, no union mount.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.nixmetal.root;
  pool = "nixmetal";
in
{
  config = lib.mkIf (cfg.type == "zfs-stripe") {
    fileSystems."/" = {
      device = "${pool}/root";
      fsType = "zfs";
    };
    # The pool is made at every boot and never imported by another machine: all may have the same number, but not zero.
    networking.hostId = lib.mkDefault (builtins.substring 0 8 (builtins.hashString "sha256" "nixmetal ${config.nixmetal.image.name}"));
    boot.zfs.forceImportRoot = false;
    # Of a pool that begins anew at every boot.
    services.zfs.autoScrub.enable = false;
    services.zfs.trim.enable = false;

    nixmetal.root.prepare = "zfs-stripe.sh ${pool} root";
    nixmetal.image.overlay = false;
    boot.initrd.systemd = {
      # zpool and zfs are there: NixOS puts them into an initrd that mounts ZFS.
      extraBin.unsquashfs = "${pkgs.squashfsTools}/bin/unsquashfs";
      storePaths = [ "${../../lib/unpack-store.sh}" ];
      services = {
        # NixOS's unit of this name imports the pool, or finds that it is there.
        nixmetal-disks = {
          before = [
            "zfs-import-${pool}.service"
            "sysroot.mount"
          ];
          requiredBy = [
            "zfs-import-${pool}.service"
            "sysroot.mount"
          ];
        };
        nixmetal-unpack-store = {
          description = "Unpack the image's store to disk";
          requires = [ "sysroot.mount" ];
          after = [ "sysroot.mount" ];
          before = [
            "initrd-find-nixos-closure.service"
            "initrd-fs.target"
          ];
          requiredBy = [
            "initrd-find-nixos-closure.service"
            "initrd-fs.target"
          ];
          unitConfig.DefaultDependencies = false;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "/bin/sh ${../../lib/unpack-store.sh} /sysroot";
            StandardOutput = "journal+console";
            StandardError = "journal+console";
          };
        };
      };
    };
  };
}
