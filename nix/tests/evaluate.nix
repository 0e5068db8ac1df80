# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Evaluates the modules with nothing but the library of nixpkgs, against the stand-ins of nixos-options/. What comes out is JSON:
# complaints (failed assertions and warnings), and what the tests look at. Nothing is built.
{
  # The directory `lib` of nixpkgs.
  lib,
  # Each: { name, system, settings, modules (paths of files) }
  cases,
}:
let
  nixpkgsLib = import (/. + lib);
  inherit (nixpkgsLib) filter mapAttrs;

  # A package that is not among these fails the evaluation. None is built: they are names alone.
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
    drvPath = "/nix/store/00000000000000000000000000000000-${name}.drv";
    outputName = "out";
  };
  packages = nixpkgsLib.genAttrs [
    "bash"
    "cacert"
    "coreutils"
    "cpio"
    "cryptsetup"
    "curl"
    "findutils"
    "gnused"
    "iproute2"
    "jq"
    "squashfsTools"
    "util-linux"
  ] package;
  hashed = name: text: package "${builtins.substring 0 8 (builtins.hashString "sha256" text)}-${name}";
  pkgsFor =
    system:
    packages
    // {
      stdenv.hostPlatform = {
        inherit system;
        isx86_64 = system == "x86_64-linux";
      };
      runtimeShell = "${packages.bash}/bin/bash";
      writeShellScript = hashed;
      writeText = hashed;
      runCommand = name: _: script: hashed name script;
      closureInfo = { rootPaths }: hashed "closure-info" (toString rootPaths);
    };

  # What NixOS itself would set.
  given = {
    boot.kernelPackages.kernel = package "linux";
    nix.package = package "nix";
    system.boot.loader.kernelFile = "bzImage";
    system.build.initialRamdisk = package "initrd";
    system.build.toplevel = package "nixos-system";
    system.modulesTree = package "kernel-modules";
    systemd.package = package "systemd";
  };

  evaluate =
    case:
    nixpkgsLib.evalModules {
      modules = [
        ./nixos-options
        ../modules
        { nixmetal = case.settings; }
        given
        { _module.args.pkgs = pkgsFor case.system; }
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
      image = if failed == [ ] then { inherit (config.system.build.nixmetalImage) kernelParams initrds; } else null;
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
