#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stage 1 of the lab image: loads the modules, fetches the segments that iPXE did not load, lays all over one another and goes on in them.
set -eu

busybox=/bin/busybox

$busybox mkdir -p /proc /sys /dev /layers /upper /root
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev

for module in /modules/*; do
  $busybox insmod "$module" || echo "stage 1: cannot load ${module##*/}"
done

# Higher numbers lie above lower ones; overlayfs wants the uppermost first.
layers=
mount_segments() {
  for segment in /segments/*.squashfs; do
    layer=${segment##*/}
    layer=/layers/${layer%.squashfs}
    [ ! -d "$layer" ] || continue
    $busybox mkdir "$layer"
    $busybox mount -t squashfs -o ro,loop "$segment" "$layer"
    layers=$layer${layers:+:$layers}
  done
}

start_over() {
  echo "stage 1: $*; starting over in 5 seconds"
  $busybox sleep 5
  $busybox reboot -f
}

# The segments that iPXE has loaded come first: one of them holds curl.
mount_segments
if [ -e /etc/nixmetal/segments ]; then
  $busybox ip link set lo up
  $busybox udhcpc -i eth0 -n -q -S -t 60 -T 1 -A 1 -s /udhcpc || start_over "no DHCP lease for eth0"
  $busybox sh /fetch-segments || start_over "the segments are not here"
  mount_segments
fi
echo "stage 1: layers $layers"

$busybox mount -t tmpfs -o mode=0755 tmpfs /upper
$busybox mkdir /upper/files /upper/work
$busybox mount -t overlay -o "lowerdir=$layers,upperdir=/upper/files,workdir=/upper/work" overlay /root

for directory in proc sys dev; do
  $busybox mount --move /$directory /root/$directory
done
exec $busybox switch_root /root /sbin/init
