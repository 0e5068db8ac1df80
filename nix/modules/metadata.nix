# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the provider's metadata service says of this machine: fetched once, to /run/nixmetal/metadata.json; and the machine's IPv6
# addresses, which no DHCP brings.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal.metadata;
  oneshot = {
    Type = "oneshot";
    RemainAfterExit = true;
    RuntimeDirectory = "nixmetal";
    RuntimeDirectoryPreserve = true;
  };
in
{
  options.nixmetal.metadata = {
    enable = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether the machines have a metadata service. Without it they take the variant that fits any machine, and do not phone home.
      '';
    };
    timeout = mkOption {
      type = types.ints.positive;
      default = 180;
      example = 60;
      description = "Seconds after which a machine that gets no metadata goes on without.";
    };
    ipv6 = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether the IPv6 addresses and the gateway of the metadata are set on the interface that has the default route.";
    };
  };

  config = mkIf cfg.enable {
    systemd.services.nixmetal-metadata = {
      description = "Ask the metadata service who this machine is";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      path = [
        pkgs.coreutils
        pkgs.curl
      ];
      environment.NIXMETAL_RETRY_SECONDS = toString cfg.timeout;
      serviceConfig = oneshot // {
        ExecStart = "${pkgs.runtimeShell} ${../lib/fetch-metadata.sh} /run/nixmetal/metadata.json";
      };
    };

    systemd.services.nixmetal-ipv6 = mkIf cfg.ipv6 {
      description = "Set the IPv6 addresses of the metadata";
      wantedBy = [ "multi-user.target" ];
      requires = [ "nixmetal-metadata.service" ];
      after = [ "nixmetal-metadata.service" ];
      path = [
        pkgs.coreutils
        pkgs.iproute2
        pkgs.jq
      ];
      serviceConfig = oneshot // {
        ExecStart = "${pkgs.runtimeShell} ${../lib/ipv6-addresses.sh} /run/nixmetal/metadata.json";
      };
    };
    # networkd would take away what it did not set itself.
    systemd.network.config.networkConfig = mkIf cfg.ipv6 { ManageForeignRoutes = false; };
  };
}
