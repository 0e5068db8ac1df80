# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
{
  imports = [
    ./builder.nix
    ./image.nix
    ./nix.nix
    ./phone-home.nix
    ./services.nix
    ./user.nix
  ];
}
