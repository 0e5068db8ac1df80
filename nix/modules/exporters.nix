# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prometheus' exporters.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal.exporters;
  known = [
    "node"
    "smartctl"
    "systemd"
    "zfs"
  ];
in
{
  options.nixmetal.exporters = mkOption {
    default = { };
    example = {
      node = { };
    };
    description = ''
      Exporters of Prometheus that run: node, smartctl, systemd, zfs. Their ports are open to `nixmetal.firewall.sources`, or to all. None
      by default.
    '';
    type = types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options.port = mkOption {
            type = types.port;
            default =
              {
                node = 9100;
                smartctl = 9633;
                systemd = 9558;
                zfs = 9134;
              }
              .${name} or 9100;
            defaultText = lib.literalMD "the exporter's usual port";
            example = 9101;
            description = "TCP port of the exporter.";
          };
        }
      )
    );
  };

  config = {
    assertions = lib.mapAttrsToList (name: _: {
      assertion = lib.elem name known;
      message = ''
        nixmetal.exporters has '${name}', but knows ${toString known}. Use one of these, or set services.prometheus.exporters.${name} in a
        module of your own.
      '';
    }) cfg;

    services.prometheus.exporters = lib.mapAttrs (name: exporter: {
      enable = true;
      inherit (exporter) port;
    }) (lib.filterAttrs (name: _: lib.elem name known && name != "node") cfg)
    // lib.optionalAttrs (cfg ? node) {
      node = {
        enable = true;
        inherit (cfg.node) port;
        enabledCollectors = [ "systemd" ];
      };
    };

    nixmetal.firewall.limitedTCPPorts = lib.mapAttrsToList (_: exporter: exporter.port) cfg;
  };
}
