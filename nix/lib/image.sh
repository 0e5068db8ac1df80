#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: kernel, initrds (lines: name piece...), kernelParams, kernelParamsJson, plansJson, imageSystem, manifestWriter, scriptWriter, out.
set -eu
umask 022

# An uncompressed archive must begin at a multiple of 4 bytes, and old EFI stubs join initrds as they are: a piece of another size (a
# compressed stage 1) gets zeros at its end, which the kernel skips.
aligned() {
  excess=$(($(stat -L -c %s "$1") % 4))
  if [ "$excess" = 0 ]; then
    printf ' %s' "$1"
  else
    copy=$(mktemp)
    { cat "$1"; head -c $((4 - excess)) /dev/zero; } >"$copy"
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

initrds=$(align_pieces)
mkdir "$out"
cp "$kernel" "$out/kernel"
printf '%s\n' "$initrds" | while read -r name pieces; do
  # shellcheck disable=SC2086 # store paths hold no spaces
  cat $pieces >"$out/$name"
done

# shellcheck source=/dev/null
. "$manifestWriter"
# shellcheck source=/dev/null
. "$scriptWriter"

image_id=$(basename "$out")
write_manifest >"$out/manifest.json"
write_netboot_script >"$out/netboot.ipxe"
