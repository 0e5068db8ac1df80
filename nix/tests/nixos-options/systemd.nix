# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Units of stage 1 and stage 2.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  # nixos/lib/systemd-unit-options.nix, 01f31c2e: lists are joined, other values must agree.
  unitOption = lib.mkOptionType {
    name = "systemd option";
    merge =
      location: definitions:
      if builtins.isList (builtins.head definitions).value then
        lib.concatMap (definition: definition.value) definitions
      else
        lib.mergeEqualOption location definitions;
  };
  section = mkOption {
    type = types.attrsOf unitOption;
    default = { };
  };
  # nixos/lib/systemd-lib.nix, by its use in systemd-unit-options.nix: the name of a unit with its ending.
  unitName = types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](service|socket|device|mount|automount|swap|target|path|timer|scope|slice)";
  units = mkOption {
    type = types.listOf unitName;
    default = [ ];
  };
  oneOf =
    field: values: service:
    !(service ? ${field}) || lib.elem service.${field} values;

  # nixos/lib/systemd-unit-options.nix, 01f31c2e: commonUnitOptions and serviceOptions
  service = {
    options = {
      description = mkOption {
        type = types.singleLineStr;
        default = "";
      };
      requires = units;
      wants = units;
      after = units;
      before = units;
      requiredBy = units;
      wantedBy = units;
      unitConfig = section;
      environment = mkOption {
        type = types.attrsOf (
          types.nullOr (
            types.oneOf [
              types.str
              types.path
              types.package
            ]
          )
        );
        default = { };
      };
      script = mkOption {
        type = types.lines;
        default = "";
      };
      serviceConfig = mkOption {
        default = { };
        type = types.addCheck (types.attrsOf unitOption) (
          service:
          oneOf "Type" [
            "exec"
            "simple"
            "forking"
            "oneshot"
            "dbus"
            "notify"
            "idle"
          ] service
          && oneOf "Restart" [
            "no"
            "on-success"
            "on-failure"
            "on-abnormal"
            "on-abort"
            "always"
          ] service
        );
      };
    };
  };
  # Stage 2 alone has the packages of `path` at hand: stage 1 copies only what storePaths and extraBin name. So stage 1 declares none.
  path.options.path = mkOption {
    type = types.listOf (
      types.oneOf [
        types.package
        types.str
      ]
    );
    default = [ ];
  };
in
{
  options = {
    # nixos/lib/systemd-types.nix, 01f31c2e: services and initrdServices
    systemd.services = mkOption {
      type = types.attrsOf (
        types.submodule [
          service
          path
        ]
      );
      default = { };
    };
    # nixos/modules/system/boot/systemd.nix, by its use in systemd/initrd.nix, 00e6b22b
    systemd.package = mkOption { type = types.package; };

    # nixos/modules/system/boot/systemd/initrd.nix, 00e6b22b
    boot.initrd.systemd = {
      enable = mkOption {
        type = types.bool;
        default = false;
      };
      services = mkOption {
        type = types.attrsOf (types.submodule service);
        default = { };
      };
      extraBin = mkOption {
        type = types.attrsOf types.path;
        default = { };
      };
      # A text or a package there is coerced to a file to copy.
      storePaths = mkOption {
        type = types.listOf (
          types.oneOf [
            types.singleLineStr
            types.package
          ]
        );
        default = [ ];
      };
      # nixos/lib/systemd-types.nix, 01f31c2e: initrdContents
      contents = mkOption {
        default = { };
        type = types.attrsOf (
          types.submodule {
            options.source = mkOption { type = types.path; };
          }
        );
      };
    };
  };
}
