# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A NixOS configuration -> the image directory that boots it.
{
  nixpkgs,
  modules,
  system ? "x86_64-linux",
}:
let
  nixos = import (nixpkgs + "/nixos/lib/eval-config.nix") {
    inherit system;
    modules = [ ./modules ] ++ modules;
  };
in
nixos.config.system.build.nixmetalImage
