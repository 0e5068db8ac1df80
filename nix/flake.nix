# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
{
  description = "Netboot images for transient, stateless Nix builders";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    {
      # For a configuration of one's own; the image is config.system.build.nixmetalImage.
      nixosModules.default = ./modules;

      # lib.image { plan, settings, modules }: an image with settings, which packages of a flake cannot take.
      lib.image = arguments: import ./. ({ inherit nixpkgs; } // arguments);

      formatter.x86_64-linux = nixpkgs.legacyPackages.x86_64-linux.nixfmt;
    };
}
