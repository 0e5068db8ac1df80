# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stand-ins for the options of NixOS that the modules set or read, so that they are evaluated where there is no nixpkgs: the names and
# types, without what NixOS makes of them. An option that is not declared here fails the evaluation.
#
# Above each: the file of NixOS/nixpkgs it was read in, at the commit (its first 8 digits) of the copy that was read.
{
  imports = [
    ./boot.nix
    ./network.nix
    ./services.nix
    ./system.nix
    ./systemd.nix
  ];
}
