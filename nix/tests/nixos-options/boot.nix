# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Kernel, stage 1 and file systems.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  names = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  # nixos/modules/tasks/filesystems.nix, 0148e16d
  nonEmpty = types.addCheck types.str (text: builtins.match "[ \t\n]*" text == null);
  withoutSlash = types.addCheck nonEmpty (text: builtins.match ".+/" text == null);
in
{
  options = {
    # nixos/modules/system/boot/kernel.nix, 045d702e
    boot.kernelParams = names;
    boot.kernelModules = names;
    boot.initrd.availableKernelModules = names;
    boot.initrd.kernelModules = names;
    # nixos/modules/tasks/lvm.nix, 022a1c26
    boot.initrd.services.lvm.enable = mkOption {
      type = types.bool;
      default = false;
    };
    boot.kernelPackages = mkOption { type = types.attrs; };
    # There it is a list that `apply` makes one package of.
    system.modulesTree = mkOption { type = types.package; };

    # Not read; as the manual of NixOS has it.
    boot.loader.grub.enable = mkOption { type = types.bool; };
    # nixos/modules/system/boot/stage-2 and loader files name it; type by their use of it in netboot.nix, 03a5cc69
    system.boot.loader.kernelFile = mkOption { type = types.str; };

    # nixos/modules/tasks/filesystems/zfs.nix, 00f7b4bd. A newer copy without its commit has, for systemd in stage 1, zpool and zfs in
    # extraBin and a service zfs-import-POOL.
    boot.zfs.forceImportRoot = mkOption {
      type = types.bool;
      default = true;
    };
    services.zfs.autoScrub.enable = mkOption {
      type = types.bool;
      default = false;
    };
    services.zfs.trim.enable = mkOption {
      type = types.bool;
      default = true;
    };

    # nixos/modules/tasks/filesystems.nix, 0148e16d; overlay: tasks/filesystems/overlayfs.nix, 15162cff; neededForBoot:
    # system/boot/stage-1.nix, by its use in netboot.nix, 03a5cc69
    fileSystems = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule (
          { name, config, ... }:
          {
            options = {
              mountPoint = mkOption {
                type = withoutSlash;
                default = name;
              };
              device = mkOption {
                type = types.nullOr nonEmpty;
                default = null;
              };
              fsType = mkOption {
                type = nonEmpty;
                default = "auto";
              };
              options = mkOption {
                type = types.nonEmptyListOf nonEmpty;
                default = [ "defaults" ];
              };
              neededForBoot = mkOption {
                type = types.bool;
                default = false;
              };
              overlay.lowerdir = mkOption {
                type = types.nullOr (types.nonEmptyListOf (types.either types.str types.pathInStore));
                default = null;
              };
              overlay.upperdir = mkOption {
                type = types.nullOr types.str;
                default = null;
              };
              overlay.workdir = mkOption {
                type = types.nullOr types.str;
                default = null;
              };
            };
            config = mkIf (config.overlay.lowerdir != null) {
              fsType = "overlay";
              device = mkDefault "overlay";
            };
          }
        )
      );
    };
  };

  config.assertions = [
    # tasks/filesystems/overlayfs.nix, 15162cff
    {
      assertion = lib.all (fs: (fs.overlay.upperdir == null) == (fs.overlay.workdir == null)) (lib.attrValues config.fileSystems);
      message = "NixOS: an overlay has upperdir without workdir, or the reverse.";
    }
    # system/boot/systemd/initrd.nix, 00e6b22b
    {
      assertion = lib.any (fs: fs.mountPoint == "/") (lib.attrValues config.fileSystems);
      message = "NixOS: fileSystems has no root.";
    }
    # tasks/filesystems/zfs.nix, 00f7b4bd
    {
      assertion = lib.all (fs: fs.fsType != "zfs") (lib.attrValues config.fileSystems) || config.networking.hostId != null;
      message = "NixOS: ZFS requires networking.hostId to be set.";
    }
  ];
}
