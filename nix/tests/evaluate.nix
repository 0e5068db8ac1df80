# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Evaluates the modules by stand-in.nix. What comes out is JSON: complaints (failed assertions and warnings), and what the tests look at. Nothing is built.
{
  # The directory `lib` of nixpkgs.
  lib,
  # Each: { name, system, settings, modules (paths of files) }
  cases,
}:
let
  nixpkgsLib = import (/. + lib);
  inherit (nixpkgsLib) filter;

  evaluate =
    case:
    import ./stand-in.nix {
      inherit lib;
      inherit (case) system;
      modules = [
        ../modules
        { nixmetal = case.settings; }
      ]
      ++ map (file: /. + file) case.modules;
    };

  # Everything that NixOS would read, so that every definition is checked against its type.
  whole =
    configuration:
    removeAttrs configuration [
      "nixmetal"
      "_module"
      "warnings"
      "assertions"
    ];

  report =
    case:
    let
      inherit (evaluate case) config;
      failed = filter (entry: !entry.assertion) config.assertions;
      text = builtins.toJSON (
        whole config
        // {
          boot = config.boot // {
            kernelPackages = null;
          };
          system = {
            image = config.system.build.nixmetalImage.drvPath;
            inherit (config.system) stateVersion;
          };
        }
      );
    in
    {
      complaints = map (entry: entry.message) failed ++ config.warnings;
      # With assertions unmet, values need not make sense.
      configuration = if failed == [ ] then builtins.fromJSON (builtins.unsafeDiscardStringContext text) else null;
      # Files of this repository that the system refers to, by their store paths.
      sources = if failed == [ ] then filter (nixpkgsLib.hasSuffix ".sh") (builtins.attrNames (builtins.getContext text)) else [ ];
      image = if failed == [ ] then { inherit (config.system.build.nixmetalImage) kernelParams initrds segments; } else null;
    };

  options = nixpkgsLib.optionAttrSetToDocList (evaluate {
    system = "x86_64-linux";
    settings = { };
    modules = [ ];
  }).options.nixmetal;
in
{
  cases = nixpkgsLib.listToAttrs (
    map (case: {
      inherit (case) name;
      value = report case;
    }) cases
  );
  options = map (
    option:
    {
      inherit (option) name internal type;
      description = option.description or null;
      example = option.example.text or null;
      default = option.default.text or null;
    }
  ) (filter (option: option.visible && !(nixpkgsLib.elem "_module" option.loc)) options);
}
