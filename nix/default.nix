# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The images for production hardware, without flakes:
#
#   nix-build nix -A images.x86_64-linux --arg settings '{ authorizedKeys = [ "ssh-ed25519 AAAA..." ]; }'
#
# images.SYSTEM is the image for all plans of a system; images.c3-medium-x86 that of one plan alone, and
# images.c3-medium-x86--big-parallel of its variant big-parallel alone. All arguments can be given as JSON by module nix_build.
{
  # nixpkgs of NixOS 24.11 to 26.05: a path, or its text.
  nixpkgs ? <nixpkgs>,
  # Values for the options below `nixmetal` (modules/).
  settings ? { },
  # Further NixOS modules: values or paths, or a path's text; without a leading slash it is looked for beside this file.
  modules ? [ ],
}:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    filter
    isString
    listToAttrs
    mapAttrs
    substring
    ;
  data = import ./plans;

  located =
    module:
    if isString module && substring 0 1 module != "/" then ./. + "/${module}" else module;

  configuration =
    system: extra:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit system;
      modules = [
        ./modules
        { nixmetal = settings; }
        extra
      ]
      ++ map located modules;
    };

  # No setting may widen what the name of an image says.
  force = content: {
    _type = "override";
    priority = 50;
    inherit content;
  };
  # What an image's name says: its system, and the settings that it means. Known without evaluating a configuration.
  ofPlan = name: plan: [
    {
      inherit name;
      value = {
        inherit (plan) system;
        module.nixmetal.plans = force [ plan.slug ];
      };
    }
    {
      name = "${name}--big-parallel";
      value = {
        inherit (plan) system;
        module.nixmetal = {
          plans = force [ plan.slug ];
          builder.variant = force "big-parallel";
        };
      };
    }
  ];
  ofSystem = plan: {
    name = plan.system;
    value = {
      inherit (plan) system;
      module = { };
    };
  };
  meanings = listToAttrs (
    concatMap (name: ofPlan name data.byAttribute.${name}) (attrNames data.byAttribute)
    ++ map ofSystem (attrValues data.plans)
  );
in
rec {
  # { SYSTEM = [ NAME ]; }: which images there are.
  names = listToAttrs (
    map (plan: {
      name = plan.system;
      value = filter (name: meanings.${name}.system == plan.system) (attrNames meanings);
    }) (attrValues data.plans)
  );
  # NixOS configurations; the image of one is config.system.build.nixmetalImage.
  configurations = mapAttrs (_: meaning: configuration meaning.system meaning.module) meanings;
  images = mapAttrs (_: nixos: nixos.config.system.build.nixmetalImage) configurations;
}
