# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Where the root lies: one option chooses, and a module each does it. All are for systemd in stage 1, without hooks of the scripted one.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal.root;
in
{
  imports = [
    ./disks.nix
    ./encrypted-swap.nix
    ./overlay.nix
    ./tmpfs.nix
    ./zfs-stripe.nix
  ];

  options.nixmetal.root = {
    type = mkOption {
      type = types.enum [
        "tmpfs"
        "encrypted-swap"
        "zfs-stripe"
      ];
      default = "tmpfs";
      example = "zfs-stripe";
      description = ''
        Where the root and the store lie. `tmpfs`: in memory alone; no disk is touched. `encrypted-swap`: in a tmpfs that spills to the
        disks, which become swap with a random key. `zfs-stripe`: on the disks, in one ZFS pool without redundancy. The last two erase
        the disks that `nixmetal.root.disks` names, at every boot.
      '';
    };
    disks = mkOption {
      type = types.listOf (
        types.strMatching "(type|model|serial|wwid|name|path)=[^ ,]+(,(type|model|serial|wwid|name|path)=[^ ,]+)*"
      );
      default = [ ];
      example = [
        "type=nvme"
        "type=sata,model=Micron?5300*"
      ];
      description = ''
        The disks that may be erased: rules, of which one must fit. A rule is KEY=PATTERN, or several joined by commas, all of which must
        fit; the keys are type (nvme, sata, sas, raid, virtio), model, serial, wwid, name and path. Removable, USB, iSCSI, multipath and
        remote disks are never chosen (lib/choose-disks.sh).
      '';
    };
    eraseDisks = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "The acknowledgement that every machine that boots this image erases the disks that `nixmetal.root.disks` names.";
    };
    diskTimeout = mkOption {
      type = types.ints.positive;
      default = 120;
      example = 300;
      description = "Seconds in which such a disk must be there. Then the machine lists its hardware on the console, and starts over.";
    };
    memoryPercent = mkOption {
      type = types.ints.between 10 95;
      default = 70;
      example = 50;
      description = "Share of the memory that the root may fill, in percent: all there is with `tmpfs`, beside the swap with `encrypted-swap`.";
    };
  };

  config.assertions = lib.optionals (cfg.type != "tmpfs") [
    {
      assertion = cfg.eraseDisks;
      message = ''
        nixmetal.root.type is ${cfg.type}: every machine that boots this image ERASES its disks (${toString cfg.disks}), without asking. If
        that is meant, set nixmetal.root.eraseDisks to true; else set nixmetal.root.type to tmpfs.
      '';
    }
    {
      assertion = cfg.disks != [ ];
      message = ''
        nixmetal.root.type is ${cfg.type}, but nixmetal.root.disks names no disk. Name those that may be erased, for example
        [ "type=nvme" ].
      '';
    }
  ];
}
