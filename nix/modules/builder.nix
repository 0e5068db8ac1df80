# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the machine can build: read by nix.nix, which tells Nix, and by phone-home.nix, which tells the fleet.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal.builder;
in
{
  options.nixmetal.builder = {
    systems = mkOption {
      type = types.nonEmptyListOf types.singleLineStr;
      default = [ "x86_64-linux" ];
      example = [
        "x86_64-linux"
        "i686-linux"
      ];
      description = "System types that the machine builds for; the first is its own.";
    };
    features = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [
        "kvm"
        "big-parallel"
      ];
      description = "System features that builds may ask for.";
    };
    mandatoryFeatures = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "big-parallel" ];
      description = "Features that a build must ask for to come to this machine.";
    };
    maxJobs = mkOption {
      type = types.ints.positive;
      example = 12;
      description = "Builds that run at a time. Times coresPerJob it should be the number of processors.";
    };
    coresPerJob = mkOption {
      type = types.ints.positive;
      example = 4;
      description = "Processors that one build may use.";
    };
    speedFactor = mkOption {
      type = types.ints.positive;
      default = 1;
      example = 2;
      description = "How fast the machine is beside others; Nix prefers the faster. A whole number, which every Nix reads.";
    };
  };

  config.assertions = [
    {
      assertion = lib.all (feature: lib.elem feature cfg.features) cfg.mandatoryFeatures;
      message = ''
        nixmetal.builder.mandatoryFeatures names ${toString (lib.subtractLists cfg.features cfg.mandatoryFeatures)}, which
        nixmetal.builder.features lacks. Add it there: a machine has what it demands.
      '';
    }
  ];
}
