#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: segment (name), tree or closure and without (what goes in), fetched (not empty: the squashfs alone), compression
# (mksquashfs options), mksquashfs, cpio, out; with closure also pieces (an output: the sizes of the pieces, one a line).
# Sorted names, no times, no owners: equal files give equal bytes.
#
# A squashfs is a superblock, the files' data, and tables. mksquashfs can add to one that is there: it writes the new data where the tables
# were, and the tables after it. So a closure is added path by path, and the data of each path is a piece: bytes that depend on that path
# alone, whatever stands before it. (Fragments, the blocks that small files share, are never shared with what was added before. Equal
# files are kept twice, for a file that refers to an earlier one would make the later path's bytes depend on the earlier.)
set -eu
umask 022
export LC_ALL=C

squash() {
  # shellcheck disable=SC2086 # a list of options, split on purpose
  "$mksquashfs" "$@" -all-root -all-time 1 -mkfs-time 1 -no-xattrs -no-hardlinks -no-exports -no-progress -quiet -b 256K $compression
}

# The paths of a closure that no lower segment holds.
new_paths() {
  sort -u "$closure/store-paths" >wanted
  for other in $without; do cat "$other/store-paths"; done >lower
  # Only what stands here once; busybox has no comm.
  sort wanted lower lower | uniq -u
}

# data_end FILE: where the tables of a squashfs begin (the superblock's inode_table_start).
data_end() {
  number=$(od -An -tu8 -j64 -N8 "$1")
  echo $((number))
}

# add PATH FILE
add() {
  squash "$1" "$2" -keep-as-directory -no-recovery >/dev/null
  data_end "$2"
}

# squash_closure FILE: the ends of superblock and of each path's data, on standard output
squash_closure() {
  paths=$(new_paths)
  [ -n "$paths" ] || { echo "segment $segment is empty: the segments below it hold all of its paths" >&2; exit 1; }
  cp "$closure/registration" nix-path-registration
  mkdir empty
  # What follows keeps to the options of what is there.
  squash empty "$1" -no-duplicates >/dev/null
  data_end "$1"
  for path in $paths nix-path-registration; do add "$path" "$1"; done
}

# sizes_of_pieces BEFORE SIZE: of a file of SIZE bytes in which the squashfs begins at BEFORE; ends on standard input. A path without data
# (links, empty files) is no piece.
sizes_of_pieces() {
  begin=0
  while read -r end; do
    [ $(($1 + end)) = "$begin" ] || echo $(($1 + end - begin))
    begin=$(($1 + end))
  done
  echo $(($2 - begin))
}

size_of() { stat -c %s "$1"; }

# archive_segment: segments/NAME.squashfs in an archive, on standard output
archive_segment() {
  touch -d '1970-01-01 00:00:01' "segments/$segment.squashfs" segments
  printf '%s\n' segments "segments/$segment.squashfs" | "$cpio" --quiet --create --format=newc --reproducible --owner=0:0
}

# header_size NAME...: of their headers in a newc archive: 110 bytes and the name with a zero, filled up to 4
header_size() {
  sum=0
  for name; do sum=$((sum + (110 + ${#name} + 1 + 3) / 4 * 4)); done
  echo "$sum"
}

mkdir -p root/segments
image=root/segments/$segment.squashfs
if [ -n "$closure" ]; then
  squash_closure "$image" >ends
else
  squash "$tree" "$image"
fi

before=0
if [ -n "$fetched" ]; then
  mv "$image" "$out"
else
  before=$(header_size segments "segments/$segment.squashfs")
  (cd root && archive_segment) >"$out"
fi
[ -z "$closure" ] || sizes_of_pieces "$before" "$(size_of "$out")" <ends >"$pieces"
