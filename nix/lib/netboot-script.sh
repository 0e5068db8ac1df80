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

write_netboot_script() {
  printf '#!ipxe\n\n'
  # Where this script came from, for the segments are beside it. An old iPXE (Debian 12's) does not know; then it is DHCP's file.
  # shellcheck disable=SC2016 # ${...} is iPXE's
  [ -z "$segments" ] || printf 'isset ${cwuri} && set script ${cwuri} || set script ${filename}\n'
  printf 'kernel kernel'
  printf '%s\n' "$initrds" | while read -r name _; do printf ' initrd=%s' "$name"; done
  # A release names their blobs instead (nixmetal.blobs).
  # shellcheck disable=SC2016 # ${script} is iPXE's
  [ -z "$segments" ] || printf ' nixmetal.script=${script}'
  # shellcheck disable=SC2016 # ${cmdline} is iPXE's
  printf ' %s nixmetal.image=%s ${cmdline}\n' "$kernelParams" "$image_id"
  printf '%s\n' "$initrds" | while read -r name _; do printf 'initrd %s\n' "$name"; done
  printf 'boot\n'
}
