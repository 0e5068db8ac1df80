# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Tells the metadata service the host key and what the machine can build, then that it is ready.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkIf;
  builder = config.nixmetal.builder;
in
{
  options.nixmetal.phoneHome.enable = mkEnableOption "phoning home to the provider's metadata service" // {
    default = true;
    example = false;
  };

  config = mkIf config.nixmetal.phoneHome.enable {
    systemd.services.nixmetal-phone-home = {
      description = "Tell the metadata service who this machine is";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      # sshd answers, and its key exists.
      after = [
        "network-online.target"
        "sshd.service"
      ];
      path = [
        pkgs.coreutils
        pkgs.curl
        pkgs.gnused
      ];
      environment = {
        NIXMETAL_SYSTEMS = toString builder.systems;
        NIXMETAL_FEATURES = toString builder.features;
        NIXMETAL_MANDATORY_FEATURES = toString builder.mandatoryFeatures;
        NIXMETAL_MAX_JOBS = toString builder.maxJobs;
        NIXMETAL_SPEED_FACTOR = toString builder.speedFactor;
      };
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${pkgs.runtimeShell} ${../lib/phone-home.sh}";
        Restart = "on-failure";
        RestartSec = 15;
        # It reads public files alone.
        DynamicUser = true;
      };
    };
  };
}
