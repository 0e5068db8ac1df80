# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Debian packages as files -> trees in the store, by busybox alone.
{
  system,
  # A directory that holds `busybox`: a store path named HASH-busybox would not be recognised as an applet.
  busybox,
  # A directory of NAME_VERSION_ARCHITECTURE.deb.
  packages,
  # Files with names that must be among them, one a line; # begins a comment.
  wanted,
}:
let
  inherit (builtins)
    any
    attrNames
    concatMap
    concatStringsSep
    elemAt
    filter
    isString
    length
    match
    pathExists
    readDir
    readFile
    replaceStrings
    split
    ;

  shell = [
    "${busybox}/busybox"
    "sh"
  ];

  found =
    if pathExists packages then
      filter (file: match ".*\\.deb" file != null) (attrNames (readDir packages))
    else
      throw "There is no directory ${toString packages} on the machine that evaluates: download the packages into it first.";
  names = filter (line: isString line && match "[a-z0-9].*" line != null) (
    concatMap (file: split "\n" (readFile file)) wanted
  );
  missing = filter (name: !any (file: nameOf file == name) found) names;
  doubled = filter (file: length (filter (other: nameOf other == nameOf file) found) > 1) found;
  files =
    if missing != [ ] then
      throw "${toString packages} lacks ${concatStringsSep ", " missing}: download them with their dependencies."
    else if doubled != [ ] then
      throw "${toString packages} has packages in more than one version; remove the older ones: ${concatStringsSep ", " doubled}"
    else
      found;

  nameOf = file: elemAt (split "_" file) 0;
  matches = patterns: file: any (pattern: match pattern (nameOf file) != null) patterns;

  # apt writes the colon of an epoch as %3a; a store name takes neither % nor ~.
  source =
    file:
    builtins.path {
      path = packages + "/${file}";
      name = replaceStrings [ "%3a" "~" ] [ "-" "-" ] file;
    };
in
{
  inherit matches;

  # The names of all files, for choosing among them.
  inherit files;

  # The files of some packages in one tree, for script to make $out of (unpack.sh).
  unpack =
    {
      name,
      debs,
      script,
      ...
    }@args:
    derivation (
      {
        inherit name system;
        builder = builtins.head shell;
        args = builtins.tail shell ++ [ "-eu" ./unpack.sh ];
        busybox = "${busybox}/busybox";
        debs = map source debs;
        allowSubstitutes = false;
      }
      // removeAttrs args [ "debs" ]
    );
}
