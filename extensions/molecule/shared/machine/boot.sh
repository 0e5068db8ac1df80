#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The first process of a machine that start.sh starts. `kill -USR1 1` reboots the machine: every other process ends, and it comes up with a
# boot id of its own and the image that DIRECTORY/next_image names, as a machine does that boots what its channel has by then.
set -eu

directory=$1 address=$2 port=$3 network=$4

mount --make-rprivate /
mount -t overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" overlay "$directory/root"
cd "$directory/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
[ "$network" != own ] || ip link set lo up
[ "$network" = - ] || ip address add "$address/32" dev lo
mkdir -p run/old run/outside
mount --bind "$directory" run/outside
pivot_root . run/old
umount -l /run/old

hostname "$(basename "$directory")"
mkdir -p /run/sshd /run/machine
# sshd wants a user of its own, and lets nobody in whose password is locked with an exclamation mark.
grep -q '^sshd:' /etc/passwd || echo 'sshd:x:61998:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
cat >/etc/ssh/machine_config <<CONFIG
ListenAddress $address:$port
HostKey /etc/ssh/machine_ed25519
AuthorizedKeysFile /run/outside/authorized_keys
PermitRootLogin yes
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
PrintMotd no
PrintLastLog no
MaxStartups 100
Subsystem sftp internal-sftp
CONFIG

boot() {
  cat /proc/sys/kernel/random/uuid >/run/machine/boot_id
  echo "quiet nixmetal.image=$(cat /run/outside/next_image 2>/dev/null || echo none)" >/run/machine/cmdline
}

boot
mount --bind /run/machine/boot_id /proc/sys/kernel/random/boot_id
mount --bind /run/machine/cmdline /proc/cmdline
trap 'kill -KILL -1' USR1
while :; do
  /usr/sbin/sshd -D -e -f /etc/ssh/machine_config &
  wait || :
  sleep 1
  boot
done
