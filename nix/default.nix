# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The image for production hardware, without flakes:
#
#   nix-build nix --arg settings '{ authorizedKeys = [ "ssh-ed25519 AAAA..." ]; }'
#
# All arguments can be given as JSON by module nix_build.
{
  # nixpkgs of NixOS 25.11 or 26.05: a path, or its text.
  nixpkgs ? <nixpkgs>,
  # A file of plans/, without ".nix".
  plan ? "c3-medium-x86",
  # Values for the options below `nixmetal` (modules/).
  settings ? { },
  # Further NixOS modules: paths, or their text.
  modules ? [ ],
}:
let
  inherit (builtins) concatStringsSep attrNames readDir;
  file = ./plans + "/${plan}.nix";
  known = map (name: builtins.replaceStrings [ ".nix" ] [ "" ] name) (attrNames (readDir ./plans));
in
if !builtins.pathExists file then
  throw "nix/plans has no plan '${plan}', only ${concatStringsSep ", " known}: add ${plan}.nix there, or name another plan."
else
  import ./image.nix {
    inherit nixpkgs;
    modules = [
      file
      { nixmetal = settings; }
    ]
    ++ modules;
  }
