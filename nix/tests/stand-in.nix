# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What nixos/lib/eval-config.nix of nixpkgs is, with nothing but the library of nixpkgs: modules, evaluated against the stand-ins of
# nixos-options/, with packages that are names alone.
{
  # The directory `lib` of nixpkgs.
  lib,
  system,
  modules,
}:
let
  nixpkgsLib = import (/. + lib);

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
  # It says what it is made of, as a real one would: strings that name it refer to the files that the text names.
  hashed =
    name: text:
    let
      made = package "${builtins.substring 0 8 (builtins.hashString "sha256" text)}-${name}";
    in
    made // { outPath = builtins.appendContext made.outPath (builtins.getContext text); };
  pkgs = packages // {
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
    hardware.firmware = package "firmware";
    nix.package = package "nix";
    # nixos/modules/config/nix.nix, 01363563
    nix.settings = {
      substituters = nixpkgsLib.mkAfter [ "https://cache.nixos.org/" ];
      trusted-public-keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      trusted-users = [ "root" ];
    };
    system.boot.loader.kernelFile = "bzImage";
    system.build.initialRamdisk = package "initrd";
    system.build.toplevel = package "nixos-system";
    system.modulesTree = package "kernel-modules";
    systemd.package = package "systemd";
  };
in
nixpkgsLib.evalModules {
  modules = [
    ./nixos-options
    given
    { _module.args.pkgs = pkgs; }
  ]
  ++ modules;
}
