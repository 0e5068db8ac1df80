# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What every builder is: small, without documentation, without a state to keep.
{ config, lib, ... }:
{
  options.nixmetal.timeServers = lib.mkOption {
    type = lib.types.nullOr (lib.types.nonEmptyListOf lib.types.singleLineStr);
    default = null;
    example = [ "time.example.org" ];
    description = "NTP servers that the machines ask. `null` is NixOS's own list.";
  };

  config = {
    services.timesyncd = {
      enable = true;
      servers = config.nixmetal.timeServers;
    };

    # Said for nixpkgs 24.11 and 25.11; the default since 26.05.
    boot.initrd.systemd.enable = true;
    boot.loader.grub.enable = false;

    documentation.enable = false;
    system.stateVersion = lib.mkDefault lib.trivial.release;
  };
}
