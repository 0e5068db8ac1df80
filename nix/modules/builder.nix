# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the machines of this image can build; plans.nix makes the variants of it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nixmetal.builder;
  own = pkgs.stdenv.hostPlatform.system;
in
{
  options.nixmetal.builder = {
    systems = mkOption {
      type = types.nullOr (types.nonEmptyListOf (types.strMatching "[a-z0-9_]+-[a-z0-9]+"));
      default = null;
      example = [
        "x86_64-linux"
        "i686-linux"
      ];
      description = ''
        System types that the machines build for; the first is their own. `null` is the machine's own, with i686-linux on x86_64, and
        with armv7l-linux and armv6l-linux on the ARM plans whose processor runs them.
      '';
    };
    features = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9_.+-]+");
      default = [
        "benchmark"
        "kvm"
        "nixos-test"
      ];
      example = [ "kvm" ];
      description = "System features that builds may ask for. The variants big-parallel have `big-parallel` too.";
    };
    mandatoryFeatures = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9_.+-]+");
      default = [ ];
      example = [ "kvm" ];
      description = ''
        Features that a build must ask for to come to these machines. For one variant alone set
        `nixmetal.variants.NAME.mandatoryFeatures`.
      '';
    };
    maxJobs = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 12;
      description = "Builds that run at a time, in the variants standard. `null` is what the plan's data file says.";
    };
    coresPerJob = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 4;
      description = "Processors that one build may use, in the variants standard. `null` is what the plan's data file says.";
    };
    speedFactor = mkOption {
      type = types.ints.positive;
      default = 1;
      example = 2;
      description = "How fast the machines are beside others; Nix prefers the faster. A whole number, which every Nix reads.";
    };
    variant = mkOption {
      type = types.enum [
        "by-hostname"
        "standard"
        "big-parallel"
      ];
      default = "by-hostname";
      example = "big-parallel";
      description = ''
        Which variant of its plan a machine takes: by `nixmetal.builder.bigParallelHostnames`, or always the one that is named here.
      '';
    };
    bigParallelHostnames = mkOption {
      type = types.nonEmptyListOf (types.strMatching "[A-Za-z0-9.*?-]+");
      default = [ "*big-parallel*" ];
      example = [ "hydra-big-*" ];
      description = "Patterns of a shell for the hostnames of machines that take the variant big-parallel.";
    };
  };

  config.assertions = [
    {
      assertion = cfg.systems == null || lib.head cfg.systems == own;
      message = ''
        nixmetal.builder.systems begins with ${lib.head cfg.systems}, but this image is for ${own}. Put ${own} first, or build
        images.${lib.head cfg.systems}.
      '';
    }
  ];
}
