#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: segment (name), tree or closure and without (what goes in), fetched (not empty: the squashfs alone), compression
# (mksquashfs options), mksquashfs, cpio, out.
# Sorted names, no times, no owners: equal files give equal bytes.
set -eu
umask 022
export LC_ALL=C

# The paths of a closure that no lower segment holds.
new_paths() {
  sort -u "$closure/store-paths" >wanted
  for other in $without; do cat "$other/store-paths"; done >lower
  # Only what stands here once; busybox has no comm.
  sort wanted lower lower | uniq -u
}

if [ -n "$closure" ]; then
  sources=$(new_paths)
  [ -n "$sources" ] || { echo "segment $segment is empty: the segments below it hold all of its paths" >&2; exit 1; }
  cp "$closure/registration" nix-path-registration
  sources="$sources nix-path-registration"
else
  sources=$tree
fi

mkdir -p root/segments
# mksquashfs takes the content of a single directory, and of several the directories themselves.
# shellcheck disable=SC2086 # lists of words, split on purpose
"$mksquashfs" $sources "root/segments/$segment.squashfs" \
  -all-root -all-time 1 -mkfs-time 1 -no-xattrs -no-hardlinks -no-exports -no-progress -quiet -b 256K $compression

if [ -n "$fetched" ]; then
  mv "root/segments/$segment.squashfs" "$out"
  exit
fi

cd root
touch -d '1970-01-01 00:00:01' "segments/$segment.squashfs" segments
printf '%s\n' segments "segments/$segment.squashfs" |
  "$cpio" --quiet --create --format=newc --reproducible --owner=0:0 >"$out"
