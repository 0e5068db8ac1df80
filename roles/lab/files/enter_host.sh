# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# Becomes the first process of a lab host: runs as process 1 of fresh mount, PID, UTS and IPC namespaces, mounts what
# a Linux host needs, makes ROOT the root directory, and turns into busybox init, which keeps sshd alive (/etc/inittab).
# Every mount lives in this mount namespace and is gone with it.
# usage: enter_host.sh ROOT HOSTNAME
set -eu
root=$1
hostname "$2"

mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs run
mkdir -p run/lock run/sshd run/shm

mount -t tmpfs -o mode=0755,nosuid,size=1m tmpfs dev
mkdir dev/pts dev/shm dev/net
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mknod -m 0666 dev/null c 1 3
mknod -m 0666 dev/zero c 1 5
mknod -m 0666 dev/full c 1 7
mknod -m 0666 dev/random c 1 8
mknod -m 0666 dev/urandom c 1 9
mknod -m 0666 dev/tty c 5 0
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

mkdir -p .outside
pivot_root . .outside
# init takes the console's place for its children's output; a lab host has none, so the log file of the lab keeps it.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=linux \
    chroot . /bin/sh -c 'cd / && umount -l /.outside && rmdir /.outside && exec /sbin/init'
