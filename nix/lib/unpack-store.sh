#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Unpacks the image's segments into the store of a root on disk, in the order of their names, and leaves the registration of its paths
# as ROOT/nix/.nix-path-registration:
#
#   unpack-store.sh ROOT
#
# Environment: NIXMETAL_SEGMENT_DIRECTORY (default /segments). Needs unsquashfs, mkdir, mv.
set -eu

root=$1
store=$root/nix/store

mkdir -p "$store"
for segment in "${NIXMETAL_SEGMENT_DIRECTORY:-/segments}"/*.squashfs; do
  [ -e "$segment" ] || { echo "unpack-store: there is no segment in ${segment%/*}" >&2; exit 1; }
  unsquashfs -force -quiet -no-progress -dest "$store" "$segment"
done
# Every segment brings one, and the last holds what all of them do.
mv "$store/nix-path-registration" "$root/nix/.nix-path-registration"
