#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by unpack.sh. Environment: modules (in load order), init (stage 1), fetch, udhcpc, curl (scripts). Output: vmlinuz, and initrd/ for the first archive.
set -- "$unpacked"/boot/vmlinuz-*
[ $# = 1 ] || { echo "the packages hold $# kernels; the image takes one" >&2; exit 1; }
mkdir -p "$out/initrd/modules" "$out/initrd/bin"
cp "$1" "$out/vmlinuz"

# file_of MODULE: its name may be written with either dash.
file_of() {
  find "$unpacked/usr/lib/modules" -name "$(echo "$1" | sed 's/[-_]/[-_]/g').ko*"
}

# dependencies_of FILE: as the module itself names them
dependencies_of() {
  case $1 in *.xz) xzcat "$1" ;; *) cat "$1" ;; esac | tr '\0' '\n' | sed -n 's/^depends=//p' | tr , ' '
}

# add MODULE: after what it depends on. In a shell of its own, because it calls itself and has variables.
add() (
  file=$(file_of "$1")
  # Built into the kernel, or named otherwise by another version: stage 1 needs what is there.
  [ -n "$file" ] || { echo "no module $1 in this kernel" >&2; return; }
  for dependency in $(dependencies_of "$file"); do add "$dependency"; done
  set -- "$out"/initrd/modules/*-"${file##*/}"
  [ ! -e "$1" ] || return 0
  number=$(find "$out/initrd/modules" -type f | wc -l)
  cp "$file" "$out/initrd/modules/$((number + 10))-${file##*/}"
)

for module in $modules; do add "$module"; done

cp "$busybox" "$out/initrd/bin/busybox"
ln -s busybox "$out/initrd/bin/sh"
cp "$init" "$out/initrd/init"
cp "$udhcpc" "$out/initrd/udhcpc"
cp "$curl" "$out/initrd/bin/curl"
cp "$fetch" "$out/initrd/fetch-segments"
chmod 755 "$out/initrd/init" "$out/initrd/udhcpc" "$out/initrd/bin/curl"
