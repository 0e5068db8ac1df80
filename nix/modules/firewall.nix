# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Which ports are open, and to whom.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal.firewall;
  isV6 = lib.hasInfix ":";
  set = words: "{ ${lib.concatStringsSep ", " words} }";
  ports = set (map toString cfg.limitedTCPPorts);
  rule = family: sources: lib.optionalString (sources != [ ]) "${family} saddr ${set sources} tcp dport ${ports} accept\n";
in
{
  options.nixmetal.firewall = {
    enable = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether the machines refuse connections to all other ports than those that are named here.";
    };
    sources = mkOption {
      type = types.listOf (types.strMatching "[0-9a-fA-F:.]+(/[0-9]+)?");
      default = [ ];
      example = [
        "192.0.2.0/24"
        "2001:db8::/32"
      ];
      description = "Networks that reach SSH and the exporters; none: everybody does.";
    };
    allowedTCPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      example = [ 8080 ];
      description = "Further TCP ports that everybody reaches.";
    };
    allowedUDPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      example = [ 51820 ];
      description = "UDP ports that everybody reaches.";
    };
    limitedTCPPorts = mkOption {
      type = types.listOf types.port;
      internal = true;
      default = [ ];
      example = [ 22 ];
      description = "Ports that `sources` reach: SSH and the exporters.";
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.enable || cfg.sources == [ ];
        message = ''
          nixmetal.firewall.sources names ${toString cfg.sources}, but nixmetal.firewall.enable is false, so everybody reaches every port.
          Enable the firewall, or name no sources.
        '';
      }
    ];

    nixmetal.firewall.limitedTCPPorts = [ 22 ];
    services.openssh.openFirewall = false;
    networking.firewall = {
      inherit (cfg) enable allowedUDPPorts;
      allowedTCPPorts = cfg.allowedTCPPorts ++ lib.optionals (cfg.sources == [ ]) cfg.limitedTCPPorts;
      # Scanners would fill the log, which lies in memory.
      logRefusedConnections = false;
      extraInputRules = mkIf (cfg.sources != [ ]) (
        rule "ip" (lib.filter (source: !isV6 source) cfg.sources) + rule "ip6" (lib.filter isV6 cfg.sources)
      );
    };
    # Rules by source are nftables'.
    networking.nftables.enable = true;
  };
}
