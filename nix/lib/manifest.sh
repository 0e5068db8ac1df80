#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# write_manifest: the manifest on standard output, one file a line. Sourced by image.sh.
# Reads: image_id, imageSystem, kernelParamsJson, plansJson, kernel, initrds, segments, out. Names and sizes need no JSON quoting: digits, hex, store names.

digest_of() {
  digest_and_name=$(sha256sum "$1")
  printf '%s' "${digest_and_name%% *}"
}

# measure FILE: "size": ..., "sha256": ...
measure() {
  printf '"size": %s, "sha256": "%s"' "$(stat -L -c %s "$1")" "$(digest_of "$1")"
}

# take SIZE: so many bytes of standard input, and not one more: what follows reads on from there
take() {
  [ "$1" -lt 65536 ] || dd bs=65536 count=$(($1 / 65536)) 2>/dev/null
  [ $(($1 % 65536)) = 0 ] || dd bs=$(($1 % 65536)) count=1 2>/dev/null
}

# ranges_of FILE SIZES: its consecutive pieces
ranges_of() {
  while read -r size; do
    sum=$(take "$size" <&3 | sha256sum)
    printf '%s{"size": %s, "sha256": "%s"}' "$separator" "$size" "${sum%% *}"
    separator=', '
  done <"$2" 3<"$1"
}

# pieces_of PIECE...: each a file, or FILE:SIZES
pieces_of() {
  separator=
  for piece in "$@"; do
    case $piece in
      *:*) ranges_of "${piece%%:*}" "${piece#*:}" ;;
      *) printf '%s{%s}' "$separator" "$(measure "$piece")" ;;
    esac
    separator=', '
  done
}

write_manifest() {
  printf '{\n  "schema": 1,\n  "image_id": "%s",\n  "system": "%s",\n' "$image_id" "$imageSystem"
  printf '  "kernel_params": %s,\n' "$kernelParamsJson"
  [ -z "$plansJson" ] || printf '  "plans": %s,\n' "$plansJson"
  printf '  "files": [\n'
  printf '    {"name": "kernel", "role": "kernel", %s}' "$(measure "$out/kernel")"
  printf '%s\n' "$initrds" | while read -r name pieces; do
    # shellcheck disable=SC2086 # store paths hold no spaces
    printf ',\n    {"name": "%s", "role": "initrd", %s, "pieces": [%s]}' "$name" "$(measure "$out/$name")" "$(pieces_of $pieces)"
  done
  [ -z "$segments" ] || printf '%s\n' "$segments" | while read -r name piece; do
    printf ',\n    {"name": "%s", "role": "segment", %s' "$name" "$(measure "$out/$name")"
    case $piece in *:*) printf ', "pieces": [%s]' "$(pieces_of "$piece")" ;; esac
    printf '}'
  done
  printf '\n  ]\n}\n'
}
