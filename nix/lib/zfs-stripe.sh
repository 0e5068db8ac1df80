#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes one ZFS pool of every disk that choose-disks.sh (beside this file) chooses, striped, and the root's dataset in it.
# THE DISKS ARE ERASED. Nothing on them is meant to survive a boot, so writes are not waited for (sync=disabled).
#
#   zfs-stripe.sh POOL DATASET
#
# Environment: that of choose-disks.sh, and NIXMETAL_CHOOSE_DISKS and NIXMETAL_WIPE_DISKS (instead of the scripts beside this file).
# Needs a shell as sh, wipefs (util-linux), zpool, zfs, and what choose-disks.sh needs.
# Status 1: no disk is chosen or one is in use (and none was touched), or a step failed.
set -euf

pool=$1
dataset=$2
choose=${NIXMETAL_CHOOSE_DISKS:-${0%/*}/choose-disks.sh}
wipe=${NIXMETAL_WIPE_DISKS:-${0%/*}/wipe-disks.sh}

say() { echo "zfs-stripe: $*"; }
fail() { say "$*" >&2; exit 1; }

disks=$(sh "$choose") || fail "no disk may be erased, and none was touched"
# shellcheck disable=SC2086 # a list of device paths, split on purpose
sh "$wipe" $disks
# Labels of a pool of the boot before, which wipefs leaves in part; zpool complains where there is none.
for disk in $disks; do
  zpool labelclear -f "$disk" >/dev/null 2>&1 || :
done
# shellcheck disable=SC2086 # a list of device paths, split on purpose
zpool create -f -m none -o ashift=12 -o cachefile=none -O sync=disabled -O compression=lz4 -O atime=off -O xattr=sa -O acltype=posixacl \
  "$pool" $disks
zfs create -o mountpoint=legacy "$pool/$dataset"
# shellcheck disable=SC2086
set -- $disks
say "$# disks in pool $pool"
