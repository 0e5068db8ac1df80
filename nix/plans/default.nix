# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The plans, from the data files beside this one: { SLUG = plan; }, and what is derived from them. Needs no nixpkgs.
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    filter
    fromJSON
    listToAttrs
    match
    readDir
    readFile
    replaceStrings
    ;
  files = filter (name: match ".*\\.json" name != null) (attrNames (readDir ./.));
  plans = listToAttrs (
    map (file: rec {
      value = fromJSON (readFile (./. + "/${file}"));
      name = value.slug;
    }) files
  );
  # Attribute names have no dots, so that `-A images.c3-medium-x86` can be said.
  attributeName = replaceStrings [ "." ] [ "-" ];
in
{
  inherit plans attributeName;

  # The names that a provider may say for a plan: its slug and its aliases.
  names = plan: [ plan.slug ] ++ plan.aliases;

  ofSystem = system: filter (plan: plan.system == system) (attrValues plans);

  # { c3-medium-x86 = plan; }, with the aliases.
  byAttribute = listToAttrs (
    concatMap (
      plan:
      map (name: {
        name = attributeName name;
        value = plan;
      }) ([ plan.slug ] ++ plan.aliases)
    ) (attrValues plans)
  );
}
