#!/bin/sh
# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by unpack.sh. mksquashfs and cpio run through the loader of their own C library: the host lends nothing but its kernel.
mkdir -p "$out/bin" "$out/libexec"
cp -a "$unpacked/usr/lib" "$unpacked/usr/lib64" "$out"
loader=$(echo "$out"/lib64/ld-linux*.so.2)
libraries=$(echo "$out"/lib/*-linux-gnu)
for tool in mksquashfs cpio; do
  cp "$unpacked/usr/bin/$tool" "$out/libexec/$tool"
  cat >"$out/bin/$tool" <<EOF
#!$busybox sh
exec $loader --library-path $libraries $out/libexec/$tool "\$@"
EOF
  chmod 755 "$out/bin/$tool"
done
