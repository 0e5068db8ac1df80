#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Environment: busybox, debs (files), script (what to do with them), out.
# Gives the script $unpacked: the packages' files in one tree, with /usr merged. busybox runs it, and all commands are its own.
set -eu
umask 022

mkdir unpacked
unpacked=$PWD/unpacked

for deb in $debs; do
  dpkg-deb -x "$deb" unpacked
done

# Packages of Debian 12 still carry /bin and /lib, those of Debian 13 do not.
for directory in bin sbin lib lib64; do
  if [ -d "unpacked/$directory" ]; then
    mkdir -p "unpacked/usr/$directory"
    cp -a "unpacked/$directory/." "unpacked/usr/$directory"
    rm -r "unpacked/$directory"
  fi
done

# shellcheck source=/dev/null
. "$script"
