# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stage 1 of the roots that erase disks: the scripts and their tools in the initrd, and one unit that runs one of them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal.root;
  # In one directory, for they look for one another beside themselves.
  scripts = pkgs.runCommand "nixmetal-disks" { } ''
    mkdir $out
    cp ${../../lib/choose-disks.sh} $out/choose-disks.sh
    cp ${../../lib/wipe-disks.sh} $out/wipe-disks.sh
    cp ${../../lib/encrypted-swap.sh} $out/encrypted-swap.sh
    cp ${../../lib/zfs-stripe.sh} $out/zfs-stripe.sh
  '';
in
{
  options.nixmetal.root.prepare = mkOption {
    type = types.nullOr types.singleLineStr;
    internal = true;
    default = null;
    example = "encrypted-swap.sh";
    description = "Script and arguments that prepare the disks in stage 1.";
  };

  config = lib.mkIf (cfg.prepare != null) {
    boot.initrd.systemd = {
      storePaths = [ scripts ];
      extraBin.wipefs = "${pkgs.util-linux}/bin/wipefs";
      services.nixmetal-disks = {
        description = "Erase and prepare the disks of the root";
        after = [
          "systemd-modules-load.service"
          "systemd-udevd.service"
        ];
        requires = [ "systemd-udevd.service" ];
        environment = {
          NIXMETAL_DISKS = toString cfg.disks;
          NIXMETAL_DISKS_TIMEOUT = toString cfg.diskTimeout;
          NIXMETAL_MEMORY_PERCENT = toString cfg.memoryPercent;
        };
        # The hardware stays on the console for a while before the machine tries again: it may be offered another image.
        script = ''
          /bin/sh ${scripts}/${cfg.prepare} && exit 0
          echo "nixmetal: the disks are not ready; this machine starts over in 60 seconds"
          sleep 60
          exit 1
        '';
        unitConfig = {
          DefaultDependencies = false;
          FailureAction = "reboot-force";
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          StandardOutput = "journal+console";
          StandardError = "journal+console";
        };
      };
    };
  };
}
