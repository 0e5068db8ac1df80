# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Nix, set up to build for others.
{ config, ... }:
let
  builder = config.nixmetal.builder;
in
{
  nix = {
    settings = {
      max-jobs = builder.maxJobs;
      cores = builder.coresPerJob;
      system-features = builder.features;
      extra-platforms = builtins.tail builder.systems;
      # Paths come from the coordinator without signatures.
      trusted-users = [ "build" ];
      sandbox = true;
      # A build that fails must not leave the machine without memory: the store lies there.
      keep-failed = false;
      # Collect garbage while building rather than fail.
      min-free = 4 * 1024 * 1024 * 1024;
      max-free = 16 * 1024 * 1024 * 1024;
    };
    # Nothing evaluates on a builder.
    channel.enable = false;
    # Twice the jobs: a slot is given away before the users of the one before are free again.
    nrBuildUsers = builder.maxJobs * 2;
  };
}
