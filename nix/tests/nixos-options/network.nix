# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Network and firewall.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  flag =
    default:
    mkOption {
      type = types.bool;
      inherit default;
    };
  ports = mkOption {
    type = types.listOf types.port;
    default = [ ];
    apply = list: lib.unique (lib.sort builtins.lessThan list);
  };
  # nixos/modules/system/boot/networkd.nix, 00976b19: sections are attrsOf unitOption, whose fields are checked; newer copies (without
  # a commit in the index) add MACAddress "none" to [NetDev] and the policy "none" to [Link].
  section =
    fields:
    mkOption {
      default = { };
      type = types.addCheck (types.attrsOf (
        types.oneOf [
          types.str
          types.bool
          types.int
        ]
      )) (given: lib.all (field: lib.elem field fields) (lib.attrNames given));
    };
  matchConfig = section [
    "Name"
    "OriginalName"
    "Type"
    "Kind"
    "Driver"
  ];
  network = {
    options = {
      inherit matchConfig;
      networkConfig = section [
        "DHCP"
        "Bond"
      ];
    };
  };
  table =
    options:
    mkOption {
      type = types.attrsOf (types.submodule { inherit options; });
      default = { };
    };
in
{
  options = {
    # nixos/modules/tasks/network-interfaces.nix: hostId is nullOr str, useNetworkd and useDHCP are bools (a copy without its commit);
    # newer ones match hostName against the syntax of host names.
    networking.hostName = mkOption { type = types.strMatching "|[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?"; };
    networking.hostId = mkOption {
      type = types.nullOr (types.strMatching "[0-9a-fA-F]{8}");
      default = null;
    };
    networking.useNetworkd = flag false;
    networking.useDHCP = flag true;

    # nixos/modules/services/networking/firewall.nix, 0192bb84, and firewall-nftables.nix, 040b4eb6
    networking.firewall = {
      enable = flag true;
      logRefusedConnections = flag false;
      allowedTCPPorts = ports;
      allowedUDPPorts = ports;
      extraInputRules = mkOption {
        type = types.lines;
        default = "";
      };
    };
    # nixos/modules/services/networking/nftables.nix, 048ef0d4
    networking.nftables.enable = flag false;

    # nixos/modules/system/boot/networkd.nix, 00976b19 (see above)
    systemd.network = {
      wait-online.anyInterface = flag false;
      networks = mkOption {
        type = types.attrsOf (types.submodule network);
        default = { };
      };
      netdevs = table {
        netdevConfig = section [
          "Kind"
          "Name"
          "MACAddress"
        ];
        bondConfig = section [
          "Mode"
          "LACPTransmitRate"
          "MIIMonitorSec"
          "TransmitHashPolicy"
        ];
      };
      links = table {
        inherit matchConfig;
        linkConfig = section [ "MACAddressPolicy" ];
      };
      config = mkOption {
        default = { };
        type = types.submodule {
          options.networkConfig = section [ "ManageForeignRoutes" ];
        };
      };
    };
    # The same file's options for stage 1.
    boot.initrd.systemd.network = {
      enable = flag false;
      wait-online.anyInterface = flag false;
      networks = mkOption {
        type = types.attrsOf (types.submodule network);
        default = { };
      };
    };
  };
}
