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
  inherit (lib) mkIf mkOption types;
in
{
  options.nixmetal.phoneHome.enable = mkOption {
    type = types.bool;
    default = config.nixmetal.metadata.enable;
    defaultText = lib.literalExpression "config.nixmetal.metadata.enable";
    example = false;
    description = "Whether the machines tell the provider's metadata service their host key, what they can build, and that they are ready.";
  };

  config = mkIf config.nixmetal.phoneHome.enable {
    assertions = [
      {
        assertion = config.nixmetal.metadata.enable;
        message = ''
          nixmetal.phoneHome.enable is set, but nixmetal.metadata.enable is not: there is nobody to tell. Enable the metadata, or turn
          phoneHome off.
        '';
      }
    ];

    systemd.services.nixmetal-phone-home = {
      description = "Tell the metadata service who this machine is";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      requires = [ "nixmetal-variant.service" ];
      # sshd answers, its key exists, and it is known what the machine takes on.
      after = [
        "network-online.target"
        "nixmetal-variant.service"
        "sshd.service"
      ];
      path = [
        pkgs.coreutils
        pkgs.curl
        pkgs.gnused
      ];
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        EnvironmentFile = "/run/nixmetal/variant.env";
        ExecStart = "${pkgs.runtimeShell} ${../lib/phone-home.sh}";
        Restart = "on-failure";
        RestartSec = 15;
        # It reads public files alone.
        DynamicUser = true;
      };
    };
  };
}
