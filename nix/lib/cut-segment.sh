#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: segment (name), tree or paths (what goes in), compression (mksquashfs options), mksquashfs, cpio, out.
# Sorted names, no times, no owners: equal files give equal bytes.
set -eu
umask 022

mkdir -p root/segments
# mksquashfs takes the content of a single directory, and several arguments under their base names.
# shellcheck disable=SC2086 # lists of words, split on purpose
"$mksquashfs" ${tree:-$paths} "root/segments/$segment.squashfs" ${paths:+-keep-as-directory} \
  -all-root -all-time 1 -mkfs-time 1 -no-xattrs -no-exports -no-progress -quiet -b 256K $compression

cd root
touch -d '1970-01-01 00:00:01' "segments/$segment.squashfs" segments
printf '%s\n' segments "segments/$segment.squashfs" |
  "$cpio" --quiet --create --format=newc --reproducible --owner=0:0 >"$out"
