# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
{
  imports = [
    ./builder.nix
    ./exporters.nix
    ./firewall.nix
    ./image.nix
    ./journal.nix
    ./logins.nix
    ./metadata.nix
    ./network.nix
    ./nix.nix
    ./phone-home.nix
    ./plans.nix
    ./root
    ./segments.nix
    ./system.nix
    ./variants.nix
  ];
}
