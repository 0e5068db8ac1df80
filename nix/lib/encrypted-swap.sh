#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes encrypted swap of every disk that choose-disks.sh (beside this file) chooses, with a random key that nobody has, and sizes the
# root, a tmpfs, to it: what lies in the root then spills to the disks. THE DISKS ARE ERASED.
#
# Linux fills swap devices of one priority in turn (swapon(8)), so the disks are striped without RAID.
#
# Environment: that of choose-disks.sh, and, all optional:
#   NIXMETAL_ROOT                mount point of the root (default /sysroot)
#   NIXMETAL_MEMORY_PERCENT      share of the memory that the root may fill beside the swap (default 50)
#   NIXMETAL_PROC                instead of /proc
#   NIXMETAL_CHOOSE_DISKS        instead of choose-disks.sh beside this file
#   NIXMETAL_WIPE_DISKS          instead of wipe-disks.sh beside this file
#
# Needs a shell as sh, wipefs, mkswap, swapon, mount (util-linux), cryptsetup, and what choose-disks.sh needs.
# Status 1: no disk is chosen or one is in use (and none was touched), or a step failed.
set -euf

root=${NIXMETAL_ROOT:-/sysroot}
percent=${NIXMETAL_MEMORY_PERCENT:-50}
proc=${NIXMETAL_PROC:-/proc}
choose=${NIXMETAL_CHOOSE_DISKS:-${0%/*}/choose-disks.sh}
wipe=${NIXMETAL_WIPE_DISKS:-${0%/*}/wipe-disks.sh}

say() { echo "encrypted-swap: $*"; }
fail() { say "$*" >&2; exit 1; }

# add_swap DISK NAME
add_swap() {
  cryptsetup open --batch-mode --type plain --cipher aes-xts-plain64 --key-size 512 --key-file /dev/urandom "$1" "$2"
  mkswap "/dev/mapper/$2" >/dev/null
  swapon --priority 10 "/dev/mapper/$2"
  say "$1 is encrypted swap"
}

# In KiB, as the kernel tells both.
memory() {
  while read -r field number _; do
    [ "$field" != MemTotal: ] || echo "$number"
  done <"$proc/meminfo"
}
swap() {
  sum=0
  while read -r _ _ size _; do
    case $size in *[!0-9]*) ;; *) sum=$((sum + size)) ;; esac
  done <"$proc/swaps"
  echo "$sum"
}

disks=$(sh "$choose") || fail "no disk may be erased, and none was touched"
# shellcheck disable=SC2086 # a list of device paths, split on purpose
sh "$wipe" $disks
count=0
for disk in $disks; do
  add_swap "$disk" "nixmetal-swap-$count"
  count=$((count + 1))
done
kibibytes=$(($(memory) * percent / 100 + $(swap)))
# One inode for each page: a store has many small files.
mount -o "remount,size=${kibibytes}k,nr_inodes=$((kibibytes / 4))" "$root"
say "$count disks, $((kibibytes / 1048576)) GiB of root"
