# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Who may log in: `build`, for Nix alone; root and further users, for the operator.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.nixmetal;

  # lib/build-command.sh: what ssh:// and ssh-ng:// ask for, and nothing else.
  nixOnly = pkgs.writeShellScript "nix-only" ''
    export PATH=${config.nix.package}/bin
    exec ${pkgs.runtimeShell} ${../lib/build-command.sh}
  '';
  factsOnly = pkgs.writeShellScript "facts-only" ''
    export PATH=${pkgs.coreutils}/bin
    exec ${pkgs.runtimeShell} ${../lib/facts.sh}
  '';
  limited = command: "restrict,command=\"${command}\" ";

  isPublic = key: builtins.match "(ssh|ecdsa|sk)-[^ ]+ [A-Za-z0-9+/=]+( .*)?" key != null;
  exampleKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWPjc0g8uVZr1oVTGbkXkjVQTzzHRQ0Mx6IYHMV2O4w hydra@example.org";
  keysOption =
    description:
    mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ exampleKey ];
      inherit description;
    };
  checked =
    name: keys:
    map (key: {
      assertion = isPublic key;
      message = ''
        ${name} has "${lib.substring 0 20 key}...", which is not a public SSH key. Give the line of a .pub file, without options before it.
      '';
    }) keys;

  principals = {
    build = limited nixOnly + "build";
    root = "root";
  }
  // lib.mapAttrs (name: _: name) cfg.users;
in
{
  options.nixmetal = {
    authorizedKeys = keysOption ''
      Public SSH keys that may build, as user `build`: those of the coordinators. They can start `nix-daemon --stdio` and
      `nix-store --serve --write`, and nothing else.
    '';
    factsKeys = keysOption ''
      Public SSH keys that may read, as user `build`, the boot id, the image id and the number of running builds, and nothing else.
    '';
    adminKeys = keysOption "Public SSH keys that may log in as root.";
    trustedCAKeys = keysOption ''
      Public keys of SSH certificate authorities. A certificate of theirs lets in who has the user's name as a principal; as `build` it may
      do what nixmetal.authorizedKeys may.
    '';
    users = mkOption {
      default = { };
      example = {
        alice = {
          authorizedKeys = [ exampleKey ];
          administrator = true;
        };
      };
      description = "Further users.";
      type = types.attrsOf (
        types.submodule {
          options = {
            authorizedKeys = keysOption "Public SSH keys that may log in as this user.";
            administrator = mkOption {
              type = types.bool;
              default = false;
              example = true;
              description = "Whether the user may become root by sudo, without a password.";
            };
          };
        }
      );
    };
  };

  config = {
    users.users = {
      build = {
        isNormalUser = true;
        description = "Nix builds for others";
        openssh.authorizedKeys.keys =
          map (key: limited nixOnly + key) cfg.authorizedKeys ++ map (key: limited factsOnly + key) cfg.factsKeys;
      };
      root.openssh.authorizedKeys.keys = cfg.adminKeys;
    }
    // lib.mapAttrs (_: user: {
      isNormalUser = true;
      extraGroups = lib.optional user.administrator "wheel";
      openssh.authorizedKeys.keys = user.authorizedKeys;
    }) (removeAttrs cfg.users [ "build" "root" ]);

    # Nobody changes a machine that forgets everything.
    users.mutableUsers = false;
    users.allowNoPasswordLogin = true;
    security.sudo.wheelNeedsPassword = false;

    services.openssh = {
      enable = true;
      # One key, made at every boot: nothing of it is in the image, and the machine tells it when it phones home.
      hostKeys = [
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "prohibit-password";
        AuthorizedPrincipalsFile = mkIf (cfg.trustedCAKeys != [ ]) "/etc/ssh/authorized_principals.d/%u";
      };
      extraConfig = mkIf (cfg.trustedCAKeys != [ ]) "TrustedUserCAKeys /etc/ssh/trusted_user_ca_keys\n";
    };
    environment.etc = mkIf (cfg.trustedCAKeys != [ ]) (
      {
        "ssh/trusted_user_ca_keys".text = lib.concatMapStrings (key: key + "\n") cfg.trustedCAKeys;
      }
      # As files, not links into the store: sshd refuses what a group may write to on the way.
      // lib.mapAttrs' (name: line: {
        name = "ssh/authorized_principals.d/${name}";
        value = {
          text = line + "\n";
          mode = "0444";
        };
      }) principals
    );

    assertions = [
      {
        assertion = cfg.authorizedKeys != [ ] || cfg.trustedCAKeys != [ ];
        message = ''
          nixmetal.authorizedKeys is empty, so nobody could build on these machines. Give the public key of the coordinator
          (settings.authorizedKeys in netboot_image_settings.args), or an authority in nixmetal.trustedCAKeys.
        '';
      }
      {
        assertion = !(cfg.users ? build || cfg.users ? root);
        message = ''
          nixmetal.users has build or root, which every image has: give their keys in nixmetal.authorizedKeys and nixmetal.adminKeys.
        '';
      }
    ]
    ++ checked "nixmetal.authorizedKeys" cfg.authorizedKeys
    ++ checked "nixmetal.factsKeys" cfg.factsKeys
    ++ checked "nixmetal.adminKeys" cfg.adminKeys
    ++ checked "nixmetal.trustedCAKeys" cfg.trustedCAKeys
    ++ lib.concatLists (
      lib.mapAttrsToList (name: user: checked "nixmetal.users.${name}.authorizedKeys" user.authorizedKeys) cfg.users
    );
  };
}
