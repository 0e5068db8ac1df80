#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: kernel, initrds (lines: name piece...), segments (lines: name piece), cpio, kernelParams, kernelParamsJson, plansJson,
# imageSystem, manifestWriter, scriptWriter, out. A piece is a file, or FILE:SIZES, where the file SIZES names the sizes of its own pieces.
set -eu
umask 022

# An uncompressed archive must begin at a multiple of 4 bytes, and old EFI stubs join initrds as they are: a piece of another size (a
# compressed stage 1) gets zeros at its end, which the kernel skips.
aligned() {
  file=${1%%:*}
  excess=$(($(stat -L -c %s "$file") % 4))
  if [ "$excess" = 0 ]; then
    printf ' %s' "$1"
  else
    copy=$(mktemp)
    { cat "$file"; head -c $((4 - excess)) /dev/zero; } >"$copy"
    printf ' %s' "$copy"
  fi
}

align_pieces() {
  printf '%s\n' "$initrds" | while read -r name pieces; do
    printf '%s' "$name"
    for piece in $pieces; do aligned "$piece"; done
    printf '\n'
  done
}

# Lines "NAME SIZE SHA256", as fetch-segments.sh wants them.
segment_list() {
  printf '%s\n' "$segments" | while read -r name piece; do
    file=${piece%%:*}
    printf '%s %s %s\n' "$name" "$(stat -L -c %s "$file")" "$(digest_of "$file")"
  done
}

# list_segments: the list becomes the last piece of the first initrd, with the directory that the segments come into
list_segments() {
  mkdir -p list/etc/nixmetal list/segments
  segment_list >list/etc/nixmetal/segments
  (cd list && find . -exec touch -d '1970-01-01 00:00:01' {} + && printf '%s\n' etc etc/nixmetal etc/nixmetal/segments segments |
    "$cpio" --quiet --create --format=newc --reproducible --owner=0:0) >segments.cpio
  rest=
  case $initrds in *"
"*) rest=${initrds#*"
"} ;; esac
  initrds="${initrds%%"
"*} $PWD/segments.cpio${rest:+
$rest}"
}

mkdir "$out"
# shellcheck source=/dev/null
. "$manifestWriter"
# shellcheck source=/dev/null
. "$scriptWriter"

[ -z "$segments" ] || list_segments
initrds=$(align_pieces)
cp "$kernel" "$out/kernel"
[ -z "$segments" ] || printf '%s\n' "$segments" | while read -r name piece; do cp "${piece%%:*}" "$out/$name"; done
printf '%s\n' "$initrds" | while read -r name pieces; do
  for piece in $pieces; do cat "${piece%%:*}"; done >"$out/$name"
done

image_id=$(basename "$out")
write_manifest >"$out/manifest.json"
write_netboot_script >"$out/netboot.ipxe"
