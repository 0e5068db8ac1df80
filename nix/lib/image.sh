#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: kernel, initrds (lines: name piece...), kernelParams, kernelParamsJson, imageSystem, manifestWriter, scriptWriter, out.
set -eu
umask 022

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
