# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Who may log in: `build`, for Nix alone, and root, for the operator.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal;

  # What ssh:// and ssh-ng:// ask for, and nothing else.
  nixOnly = pkgs.writeShellScript "nix-only" ''
    set -euo pipefail
    case "''${SSH_ORIGINAL_COMMAND:-}" in
      "nix-store --serve --write") exec ${config.nix.package}/bin/nix-store --serve --write ;;
      "nix-daemon --stdio") exec ${config.nix.package}/bin/nix-daemon --stdio ;;
    esac
    echo "This login serves Nix builds alone." >&2
    exit 1
  '';

  isPublic = key: builtins.match "(ssh|ecdsa|sk)-[^ ]+ [A-Za-z0-9+/=]+.*" key != null;
  keysOption =
    purpose:
    mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWPjc0g8uVZr1oVTGbkXkjVQTzzHRQ0Mx6IYHMV2O4w hydra@example.org" ];
      description = "Public SSH keys that ${purpose}.";
    };
in
{
  options.nixmetal = {
    authorizedKeys = keysOption "may build, as user `build`: those of the coordinators";
    adminKeys = keysOption "may log in as root";
  };

  config = {
    users.users.build = {
      isNormalUser = true;
      description = "Nix builds for others";
      openssh.authorizedKeys.keys = map (key: "restrict,command=\"${nixOnly}\" ${key}") cfg.authorizedKeys;
    };
    users.users.root.openssh.authorizedKeys.keys = cfg.adminKeys;

    # Nobody changes a machine that forgets everything.
    users.mutableUsers = false;
    users.allowNoPasswordLogin = true;

    assertions = [
      {
        assertion = cfg.authorizedKeys != [ ];
        message = ''
          nixmetal.authorizedKeys is empty, so nobody could build on this machine. Give the public key of the coordinator
          (settings.authorizedKeys in netboot_image_settings.args).
        '';
      }
    ]
    ++ map (key: {
      assertion = isPublic key;
      message = ''
        nixmetal.authorizedKeys or nixmetal.adminKeys has "${lib.substring 0 20 key}...", which is not a public SSH key.
        Give the line of a .pub file, without options before it.
      '';
    }) (cfg.authorizedKeys ++ cfg.adminKeys);
  };
}
