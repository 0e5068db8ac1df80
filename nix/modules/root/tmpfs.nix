# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The root in memory alone.
{ config, lib, ... }:
let
  cfg = config.nixmetal.root;
in
{
  config = lib.mkIf (cfg.type == "tmpfs") {
    fileSystems."/" = {
      device = "tmpfs";
      fsType = "tmpfs";
      options = [
        "mode=0755"
        "size=${toString cfg.memoryPercent}%"
        # A store has many small files.
        "nr_inodes=0"
      ];
    };
  };
}
