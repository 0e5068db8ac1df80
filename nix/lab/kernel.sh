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

number=10
for module in $modules; do
  file=$(find "$unpacked/usr/lib/modules" -name "$module.ko*")
  # Built into the kernel, or named otherwise by another version: stage 1 needs what is there.
  [ -n "$file" ] || { echo "no module $module in this kernel" >&2; continue; }
  cp "$file" "$out/initrd/modules/$number-${file##*/}"
  number=$((number + 1))
done

cp "$busybox" "$out/initrd/bin/busybox"
ln -s busybox "$out/initrd/bin/sh"
cp "$init" "$out/initrd/init"
cp "$udhcpc" "$out/initrd/udhcpc"
cp "$curl" "$out/initrd/bin/curl"
cp "$fetch" "$out/initrd/fetch-segments"
chmod 755 "$out/initrd/init" "$out/initrd/udhcpc" "$out/initrd/bin/curl"
