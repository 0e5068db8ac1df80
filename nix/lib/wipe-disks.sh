#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Wipes the signatures of the disks that choose-disks.sh chose, so that nothing takes them for what they were:
#
#   wipe-disks.sh DISK...
#
# Each is first opened exclusively (O_EXCL), which the kernel refuses for a disk that something holds, itself or a partition of it: a mounted
# file system (those of several disks too, btrfs and ZFS, which mountinfo does not tell by device number), RAID, swap, an iSCSI target.
# If one is refused, none is touched. wipefs opens exclusively without --force, and only looks with --no-act (util-linux, misc-utils/wipefs.c).
#
# Needs wipefs (util-linux). Status 1: a disk is in use, or could not be written.
set -euf

say() { echo "wipe-disks: $*" >&2; }

for disk; do
  wipefs --all --no-act --quiet "$disk" || { say "$disk cannot be opened by this machine alone: it is in use, and no disk was touched"; exit 1; }
done
wipefs --all --quiet "$@"
