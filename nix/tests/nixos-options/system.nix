# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Users, files, assertions, outputs.
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
in
{
  options = {
    # nixos/modules/misc/assertions.nix, 08062fcc
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    warnings = strings;

    # nixos/modules/system/build.nix, 14fd9760
    system.build = mkOption {
      default = { };
      type = types.submoduleWith {
        modules = [ { freeformType = types.lazyAttrsOf (types.uniq types.unspecified); } ];
      };
    };

    # nixos/modules/system/etc/etc.nix, 05924f71
    environment.etc = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            text = mkOption {
              type = types.nullOr types.lines;
              default = null;
            };
            mode = mkOption {
              type = types.str;
              default = "symlink";
            };
          };
        }
      );
    };

    # nixos/modules/config/users-groups.nix, 005ab72f; openssh.authorizedKeys: services/networking/ssh/sshd.nix, 00976b19
    users.users = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            isNormalUser = flag false;
            description = mkOption {
              type = types.passwdEntry types.str;
              default = "";
            };
            extraGroups = strings;
            openssh.authorizedKeys.keys = strings;
          };
        }
      );
    };
    # nixos/modules/config/users-groups.nix (a newer copy without its commit)
    users.mutableUsers = flag true;
    users.allowNoPasswordLogin = flag false;

    # nixos/modules/security/sudo.nix, 02627d76
    security.sudo.wheelNeedsPassword = flag true;
    # nixos/modules/security/pam.nix, limitsType (a copy without its commit)
    security.pam.loginLimits = mkOption {
      default = [ ];
      type = types.listOf (
        types.submodule {
          options = {
            domain = mkOption { type = types.str; };
            type = mkOption {
              type = types.enum [
                "-"
                "hard"
                "soft"
              ];
            };
            item = mkOption { type = types.str; };
            value = mkOption {
              type = types.oneOf [
                types.str
                types.int
              ];
            };
          };
        }
      );
    };

    # nixos/modules/services/hardware/udev.nix, by its use in systemd/initrd.nix, 00e6b22b: a list that `apply` makes one package of
    hardware.firmware = mkOption { type = types.package; };
    # nixos/modules/hardware/all-firmware.nix, 05924f71
    hardware.enableRedistributableFirmware = flag false;
    # nixos/modules/hardware/cpu/amd-microcode.nix, 0f76878e, and intel-microcode.nix, 14fd9760
    hardware.cpu.amd.updateMicrocode = flag false;
    hardware.cpu.intel.updateMicrocode = flag false;

    # nixos/modules/misc/documentation.nix, 01f34771
    documentation.enable = flag true;
    # nixos/modules/misc/version.nix, 03a362fe
    system.stateVersion = mkOption { type = types.str; };
  };
}
