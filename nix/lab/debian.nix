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
}:
let
  inherit (builtins) any attrNames concatStringsSep elemAt filter match readDir replaceStrings split;

  shell = [ "${busybox}/busybox" "sh" ];
  files = filter (file: match ".*\\.deb" file != null) (attrNames (readDir packages));
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

  # script runs with busybox's applets at hand: $unpack DEB DIRECTORY, $debs, $out.
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
