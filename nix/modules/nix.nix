# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Nix, set up to build for others. Jobs, cores, features and further systems come from the variant, when the machine boots.
{ config, lib, ... }:
let
  inherit (lib) mkForce mkOption types;
  cfg = config.nixmetal.nix;
  gigabyte = 1024 * 1024 * 1024;
  jobs = map (variant: if variant.maxJobs == null then 0 else variant.maxJobs) (lib.attrValues config.nixmetal.variants);
in
{
  options.nixmetal.nix = {
    substituters = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ "https://cache.nixos.org/" ];
      example = [ "https://cache.example.org" ];
      description = "Binary caches that the machines ask, in place of Nix's own list.";
    };
    trustedPublicKeys = mkOption {
      type = types.listOf (types.strMatching "[^: ]+:[A-Za-z0-9+/]+=*");
      default = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      example = [ "cache.example.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      description = "Public keys of the caches, in place of Nix's own list.";
    };
    minFree = mkOption {
      type = types.ints.unsigned;
      default = 8;
      example = 40;
      description = "Gigabytes (2^30). When less is free on the store's file system, Nix collects garbage while it builds; 0 is never.";
    };
    maxFree = mkOption {
      type = types.ints.positive;
      default = 32;
      example = 100;
      description = "Gigabytes (2^30) that are free when such a collection ends.";
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.minFree <= cfg.maxFree;
        message = ''
          nixmetal.nix.minFree is ${toString cfg.minFree} and maxFree ${toString cfg.maxFree}: a collection would end before it begins. Set
          maxFree to more than minFree.
        '';
      }
      {
        assertion = cfg.substituters == [ ] || cfg.trustedPublicKeys != [ ];
        message = ''
          nixmetal.nix.trustedPublicKeys is empty, so nothing of ${toString cfg.substituters} would be accepted. Give the caches' keys, or
          set nixmetal.nix.substituters to [ ].
        '';
      }
    ];

    nix = {
      settings = {
        substituters = mkForce cfg.substituters;
        trusted-public-keys = mkForce cfg.trustedPublicKeys;
        # Paths come from the coordinator without signatures.
        trusted-users = [ "build" ];
        sandbox = true;
        # What a failed build leaves would lie in memory.
        keep-failed = false;
        min-free = cfg.minFree * gigabyte;
        max-free = cfg.maxFree * gigabyte;
      };
      # Nothing evaluates on a builder.
      channel.enable = false;
      # Twice the jobs: a slot is given away before the users of the one before are free again. 128, where the machine counts them.
      nrBuildUsers = lib.foldl' lib.max 128 (map (count: count * 2) jobs);
    };

    # Of builds that open many files (nix-daemon itself has 1048576 from NixOS).
    security.pam.loginLimits = [
      {
        domain = "@nixbld";
        type = "-";
        item = "nofile";
        value = "1048576";
      }
    ];
  };
}
