#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# write_netboot_script: a script with relative names on standard output. Sourced by image.sh.
# Reads: image_id, initrds, segments, kernelParams.
#
# Under BIOS iPXE hands all initrds over by itself. Under EFI the kernel asks for them by name: one `initrd=NAME` for each, in order
# (and a kernel that takes them through LoadFile2 ignores the words). ${cmdline} lets a chaining script add parameters.

# Segments are fetched by stage 1 from beside this script. An iPXE older than March 2024 does not know where that is; it loads them itself,
# as files of an initrd that it makes of them (under EFI since May 2021).

# load_segments: what such an iPXE does
load_segments() {
  # shellcheck disable=SC2016 # ${cwuri} is iPXE's
  printf 'isset ${cwuri} && goto boot ||\n'
  printf '%s\n' "$segments" | while read -r name _; do printf 'initrd %s /segments/%s\n' "$name" "$name"; done
  printf ':boot\n'
}

write_netboot_script() {
  printf '#!ipxe\n\n'
  # shellcheck disable=SC2016 # ${...} is iPXE's
  [ -z "$segments" ] || printf 'isset ${cwuri} && set segments nixmetal.script=${cwuri} ||\n'
  printf 'kernel kernel'
  printf '%s\n' "$initrds" | while read -r name _; do printf ' initrd=%s' "$name"; done
  # shellcheck disable=SC2016 # ${segments} is iPXE's
  [ -z "$segments" ] || printf ' ${segments}'
  # shellcheck disable=SC2016 # ${cmdline} is iPXE's
  printf ' %s nixmetal.image=%s ${cmdline}\n' "$kernelParams" "$image_id"
  printf '%s\n' "$initrds" | while read -r name _; do printf 'initrd %s\n' "$name"; done
  [ -z "$segments" ] || load_segments
  printf 'boot\n'
}
