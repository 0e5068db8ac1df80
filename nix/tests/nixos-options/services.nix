# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Nix, SSH, time, log, exporters.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  flag =
    default:
    mkOption {
      type = types.bool;
      inherit default;
    };
  strings = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  # nixos/modules/config/nix.nix, 01363563
  confAtom = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.float
      types.str
      types.path
      types.package
    ]
  );
  # nixos/modules/services/monitoring/prometheus/exporters.nix, 01241074: mkExporterOpts
  exporter = port: {
    enable = flag false;
    openFirewall = flag false;
    port = mkOption {
      type = types.port;
      default = port;
    };
  };
  submodule =
    options:
    mkOption {
      type = types.submodule { inherit options; };
      default = { };
    };
in
{
  options = {
    # nixos/modules/services/system/nix-daemon.nix, 025640dc
    nix.package = mkOption { type = types.package; };
    nix.nrBuildUsers = mkOption { type = types.int; };
    # nixos/modules/config/nix-channel.nix, 025640dc
    nix.channel.enable = flag true;
    # nixos/modules/config/nix.nix, 01363563
    nix.extraOptions = mkOption {
      type = types.lines;
      default = "";
    };
    nix.settings = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf (types.either confAtom (types.listOf confAtom));
        options = {
          sandbox = mkOption {
            type = types.either types.bool (types.enum [ "relaxed" ]);
            default = true;
          };
          substituters = strings;
          trusted-public-keys = strings;
          trusted-users = strings;
        };
      };
    };

    # nixos/modules/services/networking/ssh/sshd.nix, 00976b19; `settings` and its AuthorizedPrincipalsFile: a newer copy of the file
    # without its commit, freeform there
    services.openssh = {
      enable = flag false;
      openFirewall = flag true;
      hostKeys = mkOption {
        type = types.listOf types.attrs;
        default = [ ];
      };
      extraConfig = mkOption {
        type = types.lines;
        default = "";
      };
      settings = submodule {
        PasswordAuthentication = flag true;
        KbdInteractiveAuthentication = flag true;
        PermitRootLogin = mkOption {
          type = types.enum [
            "yes"
            "without-password"
            "prohibit-password"
            "forced-commands-only"
            "no"
          ];
          default = "prohibit-password";
        };
        AuthorizedPrincipalsFile = mkOption {
          type = types.nullOr types.str;
          default = "none";
        };
      };
    };

    # nixos/modules/system/boot/timesyncd.nix, 0861e45c
    services.timesyncd.enable = flag true;
    services.timesyncd.servers = mkOption {
      type = types.nullOr (types.listOf types.str);
      default = null;
    };

    # nixos/modules/system/boot/systemd/journald.nix, 0145c6da
    services.journald.storage = mkOption {
      type = types.enum [
        "persistent"
        "volatile"
        "auto"
        "none"
      ];
      default = "persistent";
    };

    # nixos/modules/services/monitoring/prometheus/exporters.nix, 01241074; enabledCollectors: exporters/node.nix, by the example there
    services.prometheus.exporters = submodule {
      node = submodule (exporter 9100 // { enabledCollectors = strings; });
      smartctl = submodule (exporter 9633);
      systemd = submodule (exporter 9558);
      zfs = submodule (exporter 9134);
    };
  };
}
