# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The variants of this image, and the choice among them when a machine boots: lib/choose-variant.sh.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  variants = config.nixmetal.variants;
  feature = types.strMatching "[A-Za-z0-9_.+-]+";

  list = words: if words == [ ] then "-" else lib.concatStringsSep "," words;
  number = value: if value == null then "-" else toString value;
  line =
    name: variant:
    lib.concatStringsSep " " [
      name
      (list variant.hostnames)
      (list variant.plans)
      (number variant.maxJobs)
      (number variant.coresPerJob)
      (toString variant.speedFactor)
      (list variant.systems)
      (list variant.features)
      (list variant.mandatoryFeatures)
    ];

  wrongProduct =
    variant:
    variant.threads != null
    && variant.maxJobs != null
    && variant.coresPerJob != null
    && variant.maxJobs * variant.coresPerJob != variant.threads;
  lacking = variant: lib.subtractLists variant.features variant.mandatoryFeatures;
  problems =
    name: variant:
    let
      where = "nixmetal.variants.\"${name}\"";
    in
    [
      {
        assertion = builtins.match "[A-Za-z0-9_.+-]+" name != null;
        message = "${where} is a name with other characters than letters, digits and ._+-: give it another.";
      }
      {
        assertion = !wrongProduct variant;
        message = ''
          ${where}: ${number variant.maxJobs} jobs of ${number variant.coresPerJob} cores are not its ${number variant.threads} threads.
          Set maxJobs and coresPerJob (or nixmetal.builder.maxJobs and coresPerJob, for all plans) so that their product is.
        '';
      }
      {
        assertion = variant.maxJobs != null || variant.coresPerJob != null;
        message = "${where} has neither maxJobs nor coresPerJob: set one of them, and the machine counts the other.";
      }
      {
        assertion = lacking variant == [ ];
        message = ''
          ${where}.mandatoryFeatures names ${toString (lacking variant)}, which its features lack. Add it to features: a machine has what it
          demands.
        '';
      }
    ];
in
{
  options.nixmetal.variants = mkOption {
    default = { };
    example = {
      "c3.medium.x86--big-parallel".mandatoryFeatures = [ "big-parallel" ];
      carthage = {
        hostnames = [ "carthage" ];
        maxJobs = 8;
      };
    };
    description = ''
      What machines of this image may take on. A machine looks for its hostname, else for its plan; of several that fit, the first by
      name counts. The plans of the image bring theirs, SLUG and SLUG--big-parallel.
    '';
    type = types.attrsOf (
      types.submodule {
        options = {
          hostnames = mkOption {
            type = types.listOf (types.strMatching "[A-Za-z0-9.*?-]+");
            default = [ ];
            example = [ "hydra-big-*" ];
            description = "Patterns of a shell for hostnames that take this variant; none: the plan alone decides.";
          };
          plans = mkOption {
            type = types.listOf (types.strMatching "[A-Za-z0-9_.-]+");
            default = [ ];
            example = [ "c3.medium.x86" ];
            description = "Plans that take this variant; none: all.";
          };
          threads = mkOption {
            type = types.nullOr types.ints.positive;
            default = null;
            example = 48;
            description = "Processors that these machines have, when it is known beforehand: jobs times cores must be it.";
          };
          maxJobs = mkOption {
            type = types.nullOr types.ints.positive;
            default = null;
            example = 24;
            description = "Builds that run at a time; `null` is the machine's processors divided by coresPerJob.";
          };
          coresPerJob = mkOption {
            type = types.nullOr types.ints.positive;
            default = null;
            example = 2;
            description = "Processors that one build may use; `null` is the machine's processors divided by maxJobs.";
          };
          speedFactor = mkOption {
            type = types.ints.positive;
            default = config.nixmetal.builder.speedFactor;
            defaultText = lib.literalExpression "config.nixmetal.builder.speedFactor";
            example = 2;
            description = "How fast these machines are beside others.";
          };
          systems = mkOption {
            type = types.nonEmptyListOf (types.strMatching "[a-z0-9_]+-[a-z0-9]+");
            default =
              if config.nixmetal.builder.systems == null then
                [ pkgs.stdenv.hostPlatform.system ]
              else
                config.nixmetal.builder.systems;
            defaultText = lib.literalExpression "config.nixmetal.builder.systems";
            example = [ "aarch64-linux" ];
            description = "System types that these machines build for; the first is their own.";
          };
          features = mkOption {
            type = types.listOf feature;
            default = config.nixmetal.builder.features;
            defaultText = lib.literalExpression "config.nixmetal.builder.features";
            example = [ "kvm" ];
            description = "System features that builds may ask for.";
          };
          mandatoryFeatures = mkOption {
            type = types.listOf feature;
            default = config.nixmetal.builder.mandatoryFeatures;
            defaultText = lib.literalExpression "config.nixmetal.builder.mandatoryFeatures";
            example = [ "big-parallel" ];
            description = "Features that a build must ask for.";
          };
        };
      }
    );
  };

  config = {
    assertions = lib.concatLists (lib.mapAttrsToList problems variants);

    environment.etc."nixmetal/variants".text =
      "# NAME HOSTNAMES PLANS JOBS CORES SPEED SYSTEMS FEATURES MANDATORY\n"
      + lib.concatStrings (lib.mapAttrsToList (name: variant: line name variant + "\n") variants);

    systemd.services.nixmetal-variant = {
      description = "Choose what this machine takes on";
      wants = [ "nixmetal-metadata.service" ];
      after = [ "nixmetal-metadata.service" ];
      wantedBy = [ "multi-user.target" ];
      before = [ "nix-daemon.service" ];
      path = [
        pkgs.coreutils
        pkgs.jq
        pkgs.util-linux
      ];
      # Without metadata (it is not reachable, or not asked) what fits any machine is taken.
      script = ''
        field() { jq -r --arg name "$1" '.[$name] // "" | strings' /run/nixmetal/metadata.json 2>/dev/null || true; }
        ${pkgs.runtimeShell} ${../lib/choose-variant.sh} /etc/nixmetal/variants /run/nixmetal "$(field hostname)" "$(field plan)"
      '';
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        RuntimeDirectory = "nixmetal";
        RuntimeDirectoryPreserve = true;
        StandardOutput = "journal+console";
        StandardError = "journal+console";
      };
    };
    # The daemon reads its settings once, when it starts.
    systemd.services.nix-daemon = {
      wants = [ "nixmetal-variant.service" ];
      after = [ "nixmetal-variant.service" ];
    };
    nix.extraOptions = ''
      # Written when the machine boots, by nixmetal-variant.service.
      !include /run/nixmetal/nix.conf
    '';
  };
}
