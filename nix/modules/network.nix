# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The network: DHCP on whichever port has a link, or both ports bonded.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal.network;
  # Ports of hardware: what has a kind is made by software.
  ports = {
    Type = "ether";
    Kind = "!*";
  };
in
{
  options.nixmetal.network = {
    hostName = mkOption {
      type = types.strMatching "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
      default = "builder";
      example = "hydra-builder";
      description = "The name that all machines of the image have; spot machines share theirs.";
    };
    bond.enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether the network ports are one link (LACP, IEEE 802.3ad), as Equinix Metal's switches have them. Off by default: it was not
        tried on hardware, and a single port works there too.
      '';
    };
    bond.driver = mkOption {
      type = types.nullOr types.singleLineStr;
      default = null;
      example = "mlx5_core";
      description = "Driver of the ports that are bonded, when a machine has others too (networkd's Driver=); `null` takes all.";
    };
  };

  config = {
    networking = {
      inherit (cfg) hostName;
      useNetworkd = true;
      useDHCP = !cfg.bond.enable;
    };
    systemd.network = {
      wait-online.anyInterface = true;
      netdevs."30-bond0" = mkIf cfg.bond.enable {
        netdevConfig = {
          Kind = "bond";
          Name = "bond0";
          # The kernel's own choice, the first port's: DHCP and the switch know it.
          MACAddress = "none";
        };
        bondConfig = {
          Mode = "802.3ad";
          LACPTransmitRate = "fast";
          MIIMonitorSec = "100ms";
          TransmitHashPolicy = "layer3+4";
        };
      };
      links."30-bond0" = mkIf cfg.bond.enable {
        matchConfig.OriginalName = "bond0";
        linkConfig.MACAddressPolicy = "none";
      };
      networks = mkIf cfg.bond.enable {
        "30-ports" = {
          matchConfig = ports // lib.optionalAttrs (cfg.bond.driver != null) { Driver = cfg.bond.driver; };
          networkConfig.Bond = "bond0";
        };
        "40-bond0" = {
          matchConfig.Name = "bond0";
          networkConfig.DHCP = "yes";
        };
      };
    };
  };
}
