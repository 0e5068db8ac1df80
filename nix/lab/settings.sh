#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by unpack.sh. Environment: rootfs, phoneHome, factsCommand, buildCommand, adminKeys and buildKeys (lines), authorities and
# principals of the build user (lines), disks (the allow list; may be empty) and diskScripts. Output: the uppermost layer.
cp -r "$rootfs" "$out"
chmod -R u+w "$out"
cp "$phoneHome" "$out/etc/nixmetal/phone-home"
cp "$factsCommand" "$out/etc/nixmetal/facts"
cp "$buildCommand" "$out/etc/nixmetal/build-command"
if [ -n "$disks" ]; then
  mkdir "$out/etc/nixmetal/disks"
  # Store names begin with a hash.
  for file in $diskScripts; do cp "$file" "$out/etc/nixmetal/disks/${file##*/????????????????????????????????-}"; done
  printf '%s\n' "$disks" >"$out/etc/nixmetal/disks/allowed"
fi
chmod 755 "$out"/etc/nixmetal/*
mkdir "$out/etc/nixmetal/authorized_keys"
printf '%s\n' "$adminKeys" >"$out/etc/nixmetal/authorized_keys/root"
printf '%s\n' "$buildKeys" >"$out/etc/nixmetal/authorized_keys/build"
mkdir "$out/etc/nixmetal/authorized_principals"
echo root >"$out/etc/nixmetal/authorized_principals/root"
printf '%s\n' "$principals" >"$out/etc/nixmetal/authorized_principals/build"
printf '%s\n' "$authorities" >"$out/etc/nixmetal/trusted_user_ca_keys"

cd "$out"
mkdir -p dev home nix proc root run sys tmp usr/bin usr/sbin var/log
ln -s ../run var/run
for directory in bin sbin lib lib64; do
  ln -s "usr/$directory" "$directory"
done
# Commands that packages bring lie in the same /usr/bin and go before busybox's: applets they have are not linked.
for applet in $("$busybox" --list); do
  ln -s /usr/bin/busybox "usr/bin/$applet"
done
rm usr/bin/busybox
ln -s /usr/bin/busybox usr/sbin/init
