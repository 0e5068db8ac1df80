# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
{
  description = "Netboot images for transient, stateless Nix builders";

  # nixos-26.05 of 2026-09-25 (26.05.10620.f5c082a40f75). By its revision, so that it is pinned without a lock file too.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/f5c082a40f7571c266e74e80ae2e68aadd8a9fc7";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      # Values for the options below `nixmetal`, committed beside this file in a copy of one's own.
      settings = if builtins.pathExists ./settings.json then lib.importJSON ./settings.json else { };
      all = import ./. { inherit nixpkgs settings; };
      forSystems = lib.genAttrs systems;
    in
    {
      # For a configuration of one's own; the image is config.system.build.nixmetalImage.
      nixosModules.default = ./modules;

      # lib.images { settings, modules }: the images with settings and modules that packages of a flake cannot take as arguments.
      lib.images = arguments: (import ./. ({ inherit nixpkgs; } // arguments)).images;

      nixosConfigurations = all.configurations;

      packages = forSystems (system: lib.getAttrs all.names.${system} all.images);

      # Each boots an image over the network in a virtual machine: every root, loaded by iPXE and by stage 1. By BIOS, so on x86_64 alone.
      checks.x86_64-linux = lib.listToAttrs (
        lib.concatMap
          (
            root:
            map (loader: {
              name = "${root}-by-${loader}";
              value = import ./tests/netboot.nix {
                inherit nixpkgs root loader;
                system = "x86_64-linux";
              };
            }) [ "ipxe" "stage-1" ]
          )
          [ "tmpfs" "encrypted-swap" "zfs-stripe" ]
      );

      # Images need settings: without settings.json there are the checks alone.
      hydraJobs = {
        inherit (self) checks;
      }
      // lib.optionalAttrs (settings != { }) { images = self.packages; };

      formatter = forSystems (system: nixpkgs.legacyPackages.${system}.nixfmt);
    };
}
