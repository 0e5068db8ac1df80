# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The plans that this image serves: their variants, kernel parameters, modules and consoles, from the data files of plans/.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkDefault mkOption types;
  data = import ../plans;
  builder = config.nixmetal.builder;
  system = pkgs.stdenv.hostPlatform.system;
  known = map (plan: plan.slug) (data.ofSystem system);

  chosen = map (slug: data.plans.${slug}) (lib.filter (slug: lib.elem slug known) config.nixmetal.plans);
  isGeneric = plan: plan.threads == null;

  systemsOf =
    plan:
    if builder.systems != null then
      builder.systems
    else
      [ system ]
      ++ lib.optional (system == "x86_64-linux") "i686-linux"
      # Where it is not known beforehand too: the machine asks its kernel.
      ++ lib.optionals (plan ? arm32 && plan.arm32 != false) [
        "armv7l-linux"
        "armv6l-linux"
      ];

  common = plan: {
    plans = mkDefault (lib.optionals (!isGeneric plan) (data.names plan));
    threads = mkDefault plan.threads;
    systems = mkDefault (systemsOf plan);
  };
  ownOr = own: value: mkDefault (if own == null then value else own);
  standard = plan: {
    name = plan.slug;
    value = common plan // {
      maxJobs = ownOr builder.maxJobs plan.variants.standard.max_jobs;
      coresPerJob = ownOr builder.coresPerJob plan.variants.standard.cores_per_job;
    };
  };
  bigParallel = plan: {
    name = "${plan.slug}--big-parallel";
    value = common plan // {
      hostnames = mkDefault (lib.optionals (builder.variant == "by-hostname") builder.bigParallelHostnames);
      maxJobs = mkDefault plan.variants.big-parallel.max_jobs;
      coresPerJob = mkDefault plan.variants.big-parallel.cores_per_job;
      features = mkDefault (lib.unique (builder.features ++ [ "big-parallel" ]));
    };
  };

  consoles = lib.unique (lib.concatMap (plan: plan.consoles) (lib.sort (plan: _: isGeneric plan) chosen));
in
{
  options.nixmetal.plans = mkOption {
    type = types.nonEmptyListOf types.singleLineStr;
    default = known;
    defaultText = lib.literalMD "all plans of the image's system";
    example = [ "c3.medium.x86" ];
    description = ''
      Plans that this image serves, by the slugs of nix/plans. A machine of another plan takes the generic variant, when that is among
      them. The names stand in the image's manifest, so that no other plan is bought to boot it.
    '';
  };

  config = {
    assertions = map (slug: {
      assertion = lib.elem slug known;
      message = ''
        nixmetal.plans names '${slug}', which nix/plans does not have for ${system}. It has ${toString known}. Add ${slug}.json there, or
        name one of these.
      '';
    }) config.nixmetal.plans;

    nixmetal.variants = lib.listToAttrs (
      lib.optionals (builder.variant != "big-parallel") (map standard chosen)
      ++ lib.optionals (builder.variant != "standard") (map bigParallel chosen)
    );

    # The last console is /dev/console: a plan's own comes after those of the generic machine.
    boot.kernelParams = map (console: "console=${console}") consoles ++ lib.unique (lib.concatMap (plan: plan.kernel_params) chosen);
    boot.initrd.availableKernelModules = lib.unique (lib.concatMap (plan: plan.initrd_modules) chosen);
    # Of the network ports. kvm's module comes by itself: udev knows it by the processor.
    hardware = {
      enableRedistributableFirmware = true;
      cpu = lib.mkIf pkgs.stdenv.hostPlatform.isx86_64 {
        amd.updateMicrocode = true;
        intel.updateMicrocode = true;
      };
    };
  };
}
